// Entries out of lines: those that are wanted, in the order of time, few of them in memory at once.
import { type Entry, isWanted, readLine, type Wanted } from "./entry.ts";
import type { Piece } from "./tail.ts";

/** Reads the lines of logs, and counts those that cannot be read. */
export class EntryReader {
  readonly #wanted: Wanted;
  #broken = 0;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** Of one log. Processes that wrote at the same time stand near each other in it. */
  *entries(pieces: Iterable<Piece>): Generator<Entry> {
    for (const piece of pieces) {
      const read = piece.map(readLine);
      this.#broken += read.filter(({ broken }) => broken).length;
      yield* read
        .flatMap(({ entry }) => (entry && isWanted(entry, this.#wanted) ? [entry] : []))
        .sort(byTime);
    }
  }

  /** How many lines there were, since the last time this was asked, that could not be read. */
  takeBroken(): number {
    const broken = this.#broken;
    this.#broken = 0;
    return broken;
  }
}

/** Of several logs, each of them in order. */
export function* merge(logs: readonly Iterator<Entry>[]): Generator<Entry> {
  const heads = logs.map((log) => ({ log, entry: log.next().value as Entry | undefined }));
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.entry && (first?.entry === undefined || byTime(head.entry, first.entry) < 0)) first = head;
    }
    if (first?.entry === undefined) return;
    yield first.entry;
    first.entry = first.log.next().value;
  }
}

/** The last so many. */
export function lastOf(entries: Iterable<Entry>, count: number): Entry[] {
  const kept: Entry[] = [];
  for (const entry of entries) {
    kept.push(entry);
    if (kept.length > 2 * count) kept.splice(0, kept.length - count);
  }
  return kept.slice(Math.max(0, kept.length - count));
}

/** In parts of so many. */
export function* inParts<T>(things: Iterable<T>, size: number): Generator<T[]> {
  let part: T[] = [];
  for (const thing of things) {
    part.push(thing);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}

function byTime({ time: a = "" }: Entry, { time: b = "" }: Entry): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
