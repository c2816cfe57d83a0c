// Colours for a terminal, and alignment for any reader.

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, cyan: 36 } as const;

export type Colour = keyof typeof CODES;
export type Paint = (colour: Colour, text: string) => string;

/** Paints, or leaves text as it is where nobody would see the colour. */
export function painter(colours: boolean): Paint {
  return (colour, text) => (colours ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text);
}

/** Rows as lines with aligned columns; colours do not count towards a cell's width. */
export function table(rows: readonly (readonly string[])[], gap = "  "): string[] {
  const widths = rows.reduce<number[]>((widest, row) => {
    for (const [at, cell] of row.entries()) widest[at] = Math.max(widest[at] ?? 0, visibleLength(cell));
    return widest;
  }, []);
  return rows.map((row) =>
    row
      .map((cell, at) => cell + " ".repeat((widths[at] ?? 0) - visibleLength(cell)))
      .join(gap)
      .trimEnd(),
  );
}

export function visibleLength(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence begins with one
  return text.replace(/\x1b\[\d+m/g, "").length;
}
