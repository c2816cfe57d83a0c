// The table that people read.
import { format, type Row } from "./rows.ts";

const HEADER = ["", "measured", "quartiles", "medians", "must", "aim", ""];

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
  const rule = HEADER.map((_, column) => (isNumber(column) ? "---:" : "---"));
  return [line(HEADER), line(rule), ...rows.map((row) => line(cellsOf(row)))].join("\n");
}

function cellsOf({ title, unit, measured, figures, limit, verdict }: Row): string[] {
  const number = (value: number) => `${unit === "" ? value.toFixed(2) : format(value)}${unit && ` ${unit}`}`;
  const sign = limit?.kind === "least" ? "≥" : "≤";
  return [
    title,
    number(measured.median),
    `${number(measured.lowerQuartile)} – ${number(measured.upperQuartile)}`,
    figures,
    limit ? `${sign} ${limit.must}` : "",
    limit ? String(limit.aim) : "",
    verdict ?? "",
  ];
}

function isNumber(column: number): boolean {
  return column === 1 || column === 2 || column === 4 || column === 5;
}

function pad(cell: string, width: number, column: number): string {
  return isNumber(column) ? cell.padStart(width) : cell.padEnd(width);
}
