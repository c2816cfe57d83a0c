// The picture in a terminal: boxes of lines, the way there on the left, the way back on the right.
import { type Colour, type Paint, visibleLength } from "../paint.ts";
import type { Conclusion } from "./conclusion.ts";
import type { Box, Line, Mark, Picture } from "./picture.ts";

const MARKS: Readonly<Record<Mark, readonly [sign: string, colour: Colour]>> = {
  ok: ["✓", "green"],
  wrong: ["✗", "red"],
  warning: ["!", "yellow"],
  unknown: ["?", "yellow"],
  seen: ["●", "cyan"],
  missed: ["○", "yellow"],
};

/** What is longer is cut in the box; below it stands whole. */
const WIDEST_TEXT = 84;
const NARROWEST = 64;
/** Where the cables leave a box, from its left and from its right edge. */
const MARGIN = 3;
const FIRST = " ◀ first";

/** Ends in a newline. */
export function drawText(picture: Picture, paint: Paint): string {
  const { title, subtitle, boxes, joints, conclusion } = picture;
  const subject = Math.max(...boxes.flatMap(linesIn).map((line) => line.subject.length));
  const width = Math.max(
    NARROWEST,
    ...boxes.flatMap((box) => contents(box, subject, paint)).map(visibleLength),
  );
  const drawn = boxes.flatMap((box, at) => {
    const [above, below] = [joints[at - 1], joints[at]];
    const frame = [
      edge("╭", "╮", paint("bold", box.title), above && { label: above.lower, left: "▼", right: "┴" }, width),
      ...contents(box, subject, paint).map((line) => row(line, width)),
      edge("╰", "╯", "", below && { label: below.upper, left: "┬", right: "▲" }, width),
    ];
    return below ? [...frame, cables(at === 0, width, paint)] : frame;
  });
  const head = `${paint("bold", title)}  ${paint("dim", subtitle)}`;
  return `${[head, "", ...drawn, "", ...conclude(conclusion, paint)].join("\n")}\n`;
}

function linesIn({ lines }: Box): Line[] {
  return [...lines.there, ...lines.back];
}

function contents(box: Box, subject: number, paint: Paint): string[] {
  const { there, back } = box.lines;
  const draw = (lines: readonly Line[], arrow: string) =>
    lines.map((line, at) => drawLine(line, at === 0 ? arrow : " ", subject, paint));
  const detail = box.detail === "" ? [] : [paint("dim", `    ${box.detail}`)];
  const gap = there.length > 0 && back.length > 0 ? [""] : [];
  return [...detail, ...draw(there, "▼"), ...gap, ...draw(back, "▲")];
}

function drawLine(
  { mark, subject, text, isFirst }: Line,
  arrow: string,
  width: number,
  paint: Paint,
): string {
  const [sign, colour] = MARKS[mark];
  const cut = text.length > WIDEST_TEXT ? `${text.slice(0, WIDEST_TEXT - 1)}…` : text;
  const name = subject.padEnd(width);
  const words = isFirst
    ? paint("red", `${name}  ${cut}`) + paint("bold", FIRST)
    : `${paint("dim", name)}  ${cut}`;
  return `${paint("dim", arrow)} ${paint(colour, sign)} ${words}`;
}

function row(line: string, width: number): string {
  return `│ ${line}${" ".repeat(width - visibleLength(line))} │`;
}

/** A box's upper or lower edge, with its title, and with the cables that leave or enter it. */
function edge(
  left: string,
  right: string,
  title: string,
  cable: { label: string; left: string; right: string } | undefined,
  width: number,
): string {
  const head = title === "" ? "" : ` ${title} `;
  const total = width + 2;
  if (cable === undefined) {
    return `${left}──${head}${"─".repeat(total - 2 - visibleLength(head))}${right}`;
  }
  const label = cable.label === "" ? "" : ` ${cable.label} `;
  const begin = `${"─".repeat(MARGIN)}${cable.left}──${label}${head && `─${head}`}`;
  const end = `${cable.right}${"─".repeat(MARGIN)}`;
  return `${left}${begin}${"─".repeat(Math.max(0, total - visibleLength(begin) - visibleLength(end)))}${end}${right}`;
}

function cables(isFirst: boolean, width: number, paint: Paint): string {
  const [there, back] = isFirst ? ["there", "back"] : ["", ""];
  const inner = width + 2 - 2 * MARGIN - 2;
  const words = `${paint("dim", ` ${there}`)}${" ".repeat(inner - there.length - back.length - 2)}${paint("dim", `${back} `)}`;
  return ` ${" ".repeat(MARGIN)}│${words}│`;
}

function conclude({ mark, headline, details, remarks }: Conclusion, paint: Paint): string[] {
  const [sign, colour] = MARKS[mark];
  const first = mark === "wrong" ? `First wrong thing, ${headline}` : headline;
  return [
    paint(colour, `${sign} ${first}`),
    ...details.map(([name, text]) => {
      return `  ${paint("dim", name.padEnd(8))}  ${name === "mend" ? paint("bold", text) : text}`;
    }),
    ...remarks.map((remark) => `  ${remark}`),
  ];
}
