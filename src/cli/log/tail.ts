// Files of lines that are still being written, and put aside when they are full.
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { journalFiles } from "../../journal.ts";

/** Whether anything was logged there. */
export function isThere(path: string): boolean {
  return journalFiles(path).some(existsSync);
}

/** The lines of files that were put aside, the oldest first. */
export function olderLines(path: string): string[] {
  const [, ...aside] = journalFiles(path);
  return aside
    .filter(existsSync)
    .toReversed()
    .flatMap((file) => linesOf(readFileSync(file, "utf8")));
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** A file from its beginning, with all that is appended to it, also after it was put aside and begun anew. */
export class Tail implements Disposable {
  readonly #path: string;
  #fd: number | undefined;
  #at = 0;
  #rest = "";
  #decoder = new TextDecoder();

  constructor(path: string) {
    this.#path = path;
    this.#open();
  }

  /** Whole lines that came since the last call. */
  read(): string[] {
    const lines = this.#readOn();
    if (!this.#wasPutAside()) return lines;
    this[Symbol.dispose]();
    this.#open();
    return [...lines, ...this.#readOn()];
  }

  /** What stands behind the last whole line: one that is still being written, or that a full disk has cut. */
  unfinished(): string[] {
    return this.#rest === "" ? [] : [this.#rest];
  }

  #readOn(): string[] {
    if (this.#fd === undefined) return [];
    const chunk = Buffer.alloc(1 << 16);
    for (;;) {
      const length = readSync(this.#fd, chunk, 0, chunk.length, this.#at);
      if (length === 0) break;
      this.#at += length;
      this.#rest += this.#decoder.decode(chunk.subarray(0, length), { stream: true });
    }
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.filter((line) => line !== "");
  }

  #wasPutAside(): boolean {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    if (there === undefined) return false;
    if (this.#fd === undefined) return true;
    const ours = fstatSync(this.#fd);
    return there.ino !== ours.ino || there.dev !== ours.dev || there.size < this.#at;
  }

  #open(): void {
    this.#at = 0;
    this.#rest = "";
    this.#decoder = new TextDecoder();
    this.#fd = existsSync(this.#path) ? openSync(this.#path, "r") : undefined;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
