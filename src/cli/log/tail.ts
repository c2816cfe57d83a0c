// Files of lines that are still being written, and put aside when they are full.
import { concat } from "../../bytes.ts";
import { closeFile, findStatus, O_RDONLY, openFile, statusOf } from "../../files.ts";
import { journalFiles } from "../../journal.ts";
import { readBytes } from "../../libc.ts";

const LINE_FEED = 10;
/** Of a log of 30 MB no more than this is in memory at a time. */
const PIECE_BYTES = 256 << 10;

/** Lines that stand one after the other in a file. */
export type Piece = readonly string[];

/** Whether anything was logged there. */
export function isThere(path: string): boolean {
  return journalFiles(path).some((file) => findStatus(file));
}

/** A log with all that is appended to it, also after it was put aside and begun anew. */
export class Tail implements Disposable {
  readonly #path: string;
  #lines: Lines | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#open();
  }

  /** All there is by now, from the oldest file that was put aside to the youngest. To be taken first. */
  *history(): Generator<Piece> {
    const [, ...aside] = journalFiles(this.#path);
    for (const file of aside.toReversed()) {
      if (findStatus(file) === undefined) continue;
      using older = new Lines(file);
      // Put aside since we opened it: it comes below.
      if (older.identity === this.#lines?.identity) continue;
      yield* older.pieces();
      yield older.unfinished();
    }
    yield* this.read();
  }

  /** Whole lines that came since the last time. */
  *read(): Generator<Piece> {
    yield* this.#pieces();
    if (!this.#wasPutAside()) return;
    yield* this.#pieces(); // what came between the two
    this[Symbol.dispose]();
    this.#open();
    yield* this.#pieces();
  }

  /** What stands behind the last whole line: one that is still being written, or that a full disk has cut. */
  unfinished(): Piece {
    return this.#lines?.unfinished() ?? [];
  }

  *#pieces(): Generator<Piece> {
    if (this.#lines) yield* this.#lines.pieces();
  }

  #wasPutAside(): boolean {
    const there = findStatus(this.#path);
    if (there === undefined) return false;
    if (this.#lines === undefined) return true;
    return there.identity !== this.#lines.identity || there.bytes < this.#lines.bytesRead;
  }

  #open(): void {
    this.#lines = findStatus(this.#path) ? new Lines(this.#path) : undefined;
  }

  [Symbol.dispose](): void {
    this.#lines?.[Symbol.dispose]();
    this.#lines = undefined;
  }
}

/** An open file as lines. */
class Lines implements Disposable {
  readonly identity: string;
  readonly #fd: number;
  #bytesRead = 0;
  /** Behind the last whole line. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(path: string) {
    this.#fd = openFile(path, O_RDONLY);
    this.identity = statusOf(this.#fd).identity;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** From where the last time ended to where the file ends now; whole lines only. */
  *pieces(): Generator<Piece> {
    const buffer = new Uint8Array(PIECE_BYTES);
    for (let length = readBytes(this.#fd, buffer); length > 0; length = readBytes(this.#fd, buffer)) {
      this.#bytesRead += length;
      const bytes = concat([this.#rest, buffer.subarray(0, length)]);
      const end = bytes.lastIndexOf(LINE_FEED) + 1;
      this.#rest = bytes.slice(end);
      yield linesOf(bytes.subarray(0, end));
    }
  }

  unfinished(): Piece {
    return linesOf(this.#rest);
  }

  [Symbol.dispose](): void {
    closeFile(this.#fd);
  }
}

function linesOf(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  return text.split("\n").filter((line) => line !== "");
}
