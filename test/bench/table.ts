// The table that people read.
import { format, type Row, type Side } from "./rows.ts";

const HEADER = ["", "measured", "quartiles", "slash32", "compared with", "must", "aim", "verdict"];
const NUMBERS = [1, 2, 3, 5, 6];

/** Plain text, in columns. */
export function renderTable(rows: readonly Row[]): string {
  const cells = [HEADER, ...rows.map(cellsOf)];
  const widths = HEADER.map((_, column) => Math.max(...cells.map((line) => (line[column] ?? "").length)));
  return cells
    .map((line) => line.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

/** The same in Markdown. */
export function renderMarkdown(rows: readonly Row[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = HEADER.map((_, column) => (NUMBERS.includes(column) ? "---:" : "---"));
  return [line(HEADER), line(rule), ...rows.map((row) => line(cellsOf(row)))].join("\n");
}

function cellsOf({ title, unit, measured, sides, limit, verdict }: Row): string[] {
  const number = (value: number) => (unit === "" ? value.toFixed(2) : format(value));
  const [ours, theirs] = sides ?? [];
  return [
    title,
    number(measured.median) + (unit && ` ${unit}`),
    `${number(measured.lowerQuartile)}–${number(measured.upperQuartile)}`,
    ours ? amount(ours) : "",
    theirs ? `${amount(theirs)}, ${theirs.name}` : "",
    limit ? `${limit.kind === "least" ? "≥" : "≤"} ${limit.must}` : "",
    limit ? String(limit.aim) : "",
    verdict ?? "",
  ];
}

function amount({ summary, unit }: Side): string {
  return `${format(summary.median)} ${unit}`;
}

function pad(cell: string, width: number, column: number): string {
  return NUMBERS.includes(column) ? cell.padStart(width) : cell.padEnd(width);
}
