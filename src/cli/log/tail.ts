// Files of lines that are still being written, and put aside when they are full.
import { concat } from "../../bytes.ts";
import { closeFile, findStatus, O_RDONLY, openFile, readAll, readText, statusOf } from "../../files.ts";
import { journalFiles } from "../../journal.ts";

const LINE_FEED = 10;

/** Whether anything was logged there. */
export function isThere(path: string): boolean {
  return journalFiles(path).some((file) => findStatus(file));
}

/** The lines of files that were put aside, the oldest first. */
export function olderLines(path: string): string[] {
  const [, ...aside] = journalFiles(path);
  return aside
    .filter((file) => findStatus(file))
    .toReversed()
    .flatMap((file) => linesOf(readText(file)));
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** A file from its beginning, with all that is appended to it, also after it was put aside and begun anew. */
export class Tail implements Disposable {
  readonly #path: string;
  #fd: number | undefined;
  #bytesRead = 0;
  /** Behind the last whole line. */
  #rest: Uint8Array = new Uint8Array(0);

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
    return linesOf(new TextDecoder().decode(this.#rest));
  }

  #readOn(): string[] {
    if (this.#fd === undefined) return [];
    const read = readAll(this.#fd);
    this.#bytesRead += read.length;
    const bytes = concat([this.#rest, read]);
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    this.#rest = bytes.slice(end);
    return linesOf(new TextDecoder().decode(bytes.subarray(0, end)));
  }

  #wasPutAside(): boolean {
    const there = findStatus(this.#path);
    if (there === undefined) return false;
    if (this.#fd === undefined) return true;
    return there.identity !== statusOf(this.#fd).identity || there.bytes < this.#bytesRead;
  }

  #open(): void {
    this.#bytesRead = 0;
    this.#rest = new Uint8Array(0);
    this.#fd = findStatus(this.#path) ? openFile(this.#path, O_RDONLY) : undefined;
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeFile(this.#fd);
    this.#fd = undefined;
  }
}
