// The chart that the README shows: one panel a question, one bar a contestant, a line for the quartiles.
import type { Machine } from "./machine.ts";
import { format, type Side } from "./rows.ts";

export interface Panel {
  readonly title: string;
  readonly sides: readonly Side[];
}

const COLUMNS = 2;
const WIDTH = 760;
const MARGIN = 16;
const PANEL = { width: (WIDTH - MARGIN * (COLUMNS + 1)) / COLUMNS, height: 104 };
const LABEL_WIDTH = 118;
const VALUE_WIDTH = 64;
const BAR = { height: 16, step: 24 };

/** Readable on white and on black. */
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .note { font-size: 11px; fill: #59636e }
  .ours { fill: #0969da } .theirs { fill: #afb8c1 }
  .quartiles { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .note { fill: #9198a1 }
    .ours { fill: #4493f8 } .theirs { fill: #656c76 }
    .quartiles { stroke: #f0f6fc }
  }`;

export function renderChart(
  panels: readonly Panel[],
  { date, kernel, cpus, plugins, slash32 }: Machine,
): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const height = rows * (PANEL.height + MARGIN) + 56;
  const drawn = panels.map((panel, at) => {
    const x = MARGIN + (at % COLUMNS) * (PANEL.width + MARGIN);
    const y = MARGIN + Math.floor(at / COLUMNS) * (PANEL.height + MARGIN);
    return `<g transform="translate(${x} ${y})">${renderPanel(panel)}</g>`;
  });
  const notes = [
    "Whole processes: medians, and the quartiles as lines. Less is better.",
    `${date}, Linux ${kernel}, ${cpus} CPUs, slash32 ${slash32}, containernetworking-plugins ${plugins}`,
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    `<title>slash32 beside the reference plugins</title>`,
    `<style>${STYLE}\n</style>`,
    ...drawn,
    ...notes.map(
      (note, at) => `<text class="note" x="${MARGIN}" y="${height - 28 + at * 16}">${escaped(note)}</text>`,
    ),
    "</svg>\n",
  ].join("\n");
}

function renderPanel({ title, sides }: Panel): string {
  const longest = Math.max(...sides.map(({ summary }) => summary.upperQuartile));
  const scale = (PANEL.width - LABEL_WIDTH - VALUE_WIDTH) / longest;
  const bars = sides.map((side, at) => renderBar(side, 14 + at * BAR.step, scale, at === 0));
  return [`<text class="title" x="0" y="10">${escaped(title)}</text>`, ...bars].join("\n");
}

function renderBar({ name, unit, summary }: Side, y: number, scale: number, isOurs: boolean): string {
  const { median, lowerQuartile, upperQuartile } = summary;
  const x = (value: number) => (LABEL_WIDTH + value * scale).toFixed(1);
  const middle = y + BAR.height / 2 + 6;
  const end = Math.max(median, upperQuartile);
  return [
    `<text x="0" y="${middle + 4}">${escaped(name)}</text>`,
    `<rect class="${isOurs ? "ours" : "theirs"}" x="${LABEL_WIDTH}" y="${y + 6}" width="${(median * scale).toFixed(1)}" height="${BAR.height}"/>`,
    `<line class="quartiles" x1="${x(lowerQuartile)}" x2="${x(upperQuartile)}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${Number(x(end)) + 6}" y="${middle + 4}">${format(median)} ${unit}</text>`,
  ].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
