// What the audience sees: text on standard output, in colour where it is a terminal.
import { writeSync } from "node:fs";

const { NO_COLOR = "", TERM } = process.env;
const isColoured = process.stdout.isTTY === true && NO_COLOR === "" && TERM !== "dumb";

/** Colours a text for a terminal; leaves it as it is for a pipe, a file, and whoever sets NO_COLOR. */
const colour = (code: string) => (text: string) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = colour("1");
export const cyan = colour("36");
export const green = colour("32");
export const red = colour("1;31");
export const yellow = colour("33");

/** Prints a text and a line feed, at once and whole. A reader that is gone ends the demo as SIGPIPE would. */
export function print(text = ""): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "EAGAIN") return void process.kill(process.pid, "SIGPIPE");
      Bun.sleepSync(1); // the pipe is full
    }
  }
}

let chapters = 0;

/** A numbered heading, set off from what came before. */
export function chapter(title: string): void {
  chapters += 1;
  print(`\n${bold(`${chapters}. ${title}`)}\n`);
}

/** What to see in the output above, or to expect of the one below. */
export function note(text: string): void {
  print(indented(text, yellow("# ")));
}

/** A command as it is typed: `+ ip -n host0 route`. Its further lines are indented. */
export function typed(command: string): void {
  print(`${cyan("+")} ${command.split("\n").map(cyan).join("\n  ")}`);
}

/** What a command printed, below it. */
export function output(text: string): void {
  if (text.trim() !== "") print(indented(text, "  "));
}

function indented(text: string, margin: string): string {
  const lines = text.trimEnd().split("\n");
  return lines.map((line) => `  ${margin}${line}`.trimEnd()).join("\n");
}
