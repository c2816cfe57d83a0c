// The picture as an SVG document: opens in a browser, needs no font and no script of anybody's.

import type { Conclusion } from "./conclusion.ts";
import type { Joint, Way } from "./fact.ts";
import type { Box, Line, Mark, Picture } from "./picture.ts";

const FONT = 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
/** Pixels; a letter's width is what the widest of these fonts has. */
const LETTER = 7.9;
const LINE = 21;
const PADDING = 16;
const TITLE = 32;
const GAP = 46;
const LEAST_WIDTH = 640;
/** Letters in a line of a box; what is longer goes on below. */
const LONGEST = 92;

const INK = { text: "#1f2328", pale: "#6e7781", frame: "#c3ccd5", title: "#f0f3f6", hot: "#ffebe9" } as const;
const WAYS: Readonly<Record<Way, string>> = { there: "#0969da", back: "#8250df" };
const COLOURS: Readonly<Record<Mark, string>> = {
  ok: "#1a7f37",
  wrong: "#cf222e",
  warning: "#9a6700",
  unknown: "#9a6700",
  seen: "#0969da",
  missed: "#9a6700",
};

/** A whole document, ending in a newline. */
export function drawSvg(picture: Picture): string {
  const { boxes, joints, conclusion } = picture;
  const subject = Math.max(...boxes.flatMap(linesIn).map((line) => line.subject.length)) * LETTER;
  const longest = Math.max(...boxes.flatMap(linesIn).map((line) => Math.min(line.text.length, LONGEST)));
  const width = Math.max(LEAST_WIDTH, Math.ceil(subject + (longest + 8) * LETTER + 2 * PADDING + 60));
  const parts: string[] = [text(PADDING, 32, picture.title, { size: 17, weight: 700 })];
  parts.push(text(PADDING, 54, picture.subtitle, { fill: INK.pale }));
  let y = 74;
  for (const [at, box] of boxes.entries()) {
    const joint = joints[at];
    const drawn = drawBox(box, y, width, subject);
    parts.push(...drawn.parts);
    y += drawn.height;
    if (joint) parts.push(...cables(joint, y, width));
    y += joint ? GAP : 0;
  }
  const panel = drawConclusion(conclusion, y + 24, width);
  parts.push(...panel.parts);
  return document(parts, width + 2 * PADDING, y + 24 + panel.height + PADDING, picture.title);
}

interface Drawn {
  readonly parts: string[];
  readonly height: number;
}

function linesIn({ lines }: Box): Line[] {
  return [...lines.there, ...lines.back];
}

function drawBox({ title, detail, lines }: Box, top: number, width: number, subject: number): Drawn {
  const parts: string[] = [];
  let y = top + TITLE + 8;
  for (const way of ["there", "back"] as const) {
    if (way === "back" && lines.back.length > 0 && lines.there.length > 0) y += 10;
    const from = y;
    for (const line of lines[way]) {
      const drawn = drawLine(line, y, width, subject);
      parts.push(...drawn.parts);
      y += drawn.height;
    }
    // A bar at the edge says which way these lines belong to.
    if (y > from) parts.push(rect(PADDING + 10, from + 2, 3, y - from - 4, WAYS[way], "none", 1.5));
  }
  const height = y + 8 - top;
  const frame = [
    rect(PADDING, top, width, height, "#ffffff", INK.frame, 8),
    `<path d="M${PADDING} ${top + TITLE} v-${TITLE - 8} q0 -8 8 -8 h${width - 16} q8 0 8 8 v${TITLE - 8} z" fill="${INK.title}" stroke="${INK.frame}"/>`,
    text(PADDING + 14, top + 21, title, { weight: 700 }),
    text(PADDING + 14 + (title.length + 2) * LETTER, top + 21, detail, { fill: INK.pale }),
  ];
  return { parts: [...frame, ...parts], height };
}

function drawLine(
  { mark, subject, text: words, isFirst }: Line,
  top: number,
  width: number,
  column: number,
): Drawn {
  const rows = wrapped(words, LONGEST);
  const height = rows.length * LINE;
  const x = PADDING + 50 + column + 2 * LETTER;
  const ink = isFirst ? COLOURS.wrong : INK.text;
  const parts = [
    sign(mark, PADDING + 32, top + 11),
    text(PADDING + 50, top + 15, subject, { fill: isFirst ? COLOURS.wrong : INK.pale }),
    ...rows.map((row, at) => text(x, top + 15 + at * LINE, row, { fill: ink, weight: isFirst ? 700 : 400 })),
  ];
  if (!isFirst) return { parts, height };
  return { parts: [rect(PADDING + 20, top, width - 30, height, INK.hot, "none", 4), ...parts], height };
}

/** Down on the left, up on the right; the names of the cable's ends stand beside it. */
function cables({ upper, lower }: Joint, top: number, width: number): string[] {
  const [left, right] = [PADDING + 40, PADDING + width - 40];
  return [
    arrow(left, top, top + GAP - 3, WAYS.there),
    text(left + 14, top + 16, upper, { fill: INK.pale }),
    text(left + 14, top + GAP - 8, lower, { fill: INK.pale }),
    arrow(right, top + GAP, top + 3, WAYS.back),
    text(right - 14, top + 28, "and back", { fill: WAYS.back, anchor: "end" }),
  ];
}

function arrow(x: number, from: number, to: number, colour: string): string {
  const tip = from < to ? -7 : 7;
  const path = `M${x} ${from} L${x} ${to} M${x - 5} ${to + tip} L${x} ${to} L${x + 5} ${to + tip}`;
  return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2" stroke-linecap="round"/>`;
}

function drawConclusion({ mark, headline, details, remarks }: Conclusion, top: number, width: number): Drawn {
  const parts: string[] = [];
  let y = top + 14;
  const write = (x: number, words: string, style: Style = {}) => {
    for (const row of wrapped(words, Math.floor((width - x) / LETTER))) {
      parts.push(text(x, y + 15, row, style));
      y += LINE;
    }
  };
  parts.push(sign(mark, PADDING + 20, y + 11));
  write(PADDING + 36, mark === "wrong" ? `First wrong thing, ${headline}` : headline, {
    fill: COLOURS[mark],
    weight: 700,
  });
  for (const [name, words] of details) {
    parts.push(text(PADDING + 36, y + 15, name, { fill: INK.pale }));
    write(PADDING + 36 + 10 * LETTER, words, { weight: name === "mend" ? 700 : 400 });
  }
  for (const remark of remarks) write(PADDING + 36, remark, { fill: INK.pale });
  const height = y + 12 - top;
  return { parts: [rect(PADDING, top, width, height, "#ffffff", COLOURS[mark], 8), ...parts], height };
}

/** A tick, a cross, or a letter in a disc: drawn, as not every font has them. */
function sign(mark: Mark, x: number, y: number): string {
  const colour = COLOURS[mark];
  const stroke = `fill="none" stroke="${colour}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"`;
  if (mark === "ok") return `<path d="M${x - 5} ${y} l3.5 4 l7 -8" ${stroke}/>`;
  if (mark === "wrong") return `<path d="M${x - 4} ${y - 4} l8 8 m0 -8 l-8 8" ${stroke}/>`;
  if (mark === "seen") return `<circle cx="${x}" cy="${y}" r="5" fill="${colour}"/>`;
  if (mark === "missed") return `<circle cx="${x}" cy="${y}" r="4.5" ${stroke}/>`;
  return text(x, y + 5, mark === "warning" ? "!" : "?", { fill: colour, weight: 700, anchor: "middle" });
}

interface Style {
  readonly fill?: string;
  readonly size?: number;
  readonly weight?: number;
  readonly anchor?: "end" | "middle";
}

function text(x: number, y: number, words: string, { fill = INK.text, size, weight, anchor }: Style): string {
  if (words === "") return "";
  const style = [
    size && `font-size="${size}"`,
    weight && weight !== 400 && `font-weight="${weight}"`,
    anchor && `text-anchor="${anchor}"`,
  ].filter(Boolean);
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}"${style.map((part) => ` ${part}`).join("")}>${escaped(words)}</text>`;
}

function rect(
  x: number,
  y: number,
  width: number,
  height: number,
  fill: string,
  stroke: string,
  radius: number,
): string {
  const size = `width="${round(width)}" height="${round(height)}" rx="${radius}"`;
  return `<rect x="${round(x)}" y="${round(y)}" ${size} fill="${fill}" stroke="${stroke}"/>`;
}

function document(parts: readonly string[], width: number, height: number, title: string): string {
  const size = `width="${width}" height="${round(height)}" viewBox="0 0 ${width} ${round(height)}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family='${FONT}' font-size="13" xml:space="preserve">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fbfcfd"/>
${parts.filter(Boolean).join("\n")}
</svg>
`;
}

/** At spaces where there are any. */
function wrapped(words: string, longest: number): string[] {
  const rows: string[] = [];
  for (let rest = words; rest !== ""; ) {
    const space = rest.lastIndexOf(" ", longest);
    const at = rest.length <= longest ? rest.length : space > 0 ? space : longest;
    rows.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return rows.length > 0 ? rows : [""];
}

function escaped(words: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return words.replace(/[&<>"]/g, (letter) => names[letter] ?? letter);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
