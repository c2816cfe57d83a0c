// What was done, or would be: a line each for people, and the same for programs.
import { type Paint, table } from "../cli/paint.ts";

export interface Line {
  /** "executable" */
  readonly what: string;
  /** On the node; or what else it is. */
  readonly path: string;
  /** Whether anything was done, or would be; or something is to be looked at. */
  readonly kind: "same" | "done" | "planned" | "warning";
  /** "written, 112.6 MB" */
  readonly words: string;
}

const SIGN = { same: "·", done: "✓", planned: "+", warning: "!" } as const;
const COLOUR = { same: "dim", done: "green", planned: "blue", warning: "yellow" } as const;

export function forPeople(lines: readonly Line[], paint: Paint): string {
  const rows = lines.map(({ what, path, kind, words }) => {
    return [`${paint(COLOUR[kind], SIGN[kind])} ${what}`, path, words];
  });
  return table(rows)
    .map((line) => `${line}\n`)
    .join("");
}

export function forPrograms(lines: readonly Line[], facts: object = {}): string {
  return `${JSON.stringify({ ...facts, lines }, undefined, 2)}\n`;
}
