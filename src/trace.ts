// How long the parts of a verb took, for its line in the log. One list for the process: it lives for one verb.

export interface Span {
  readonly what: string;
  readonly milliseconds: number;
}

const spans: Span[] = [];

/** Runs `work` and notes how long it took, also when it throws. Parts may hold parts. */
export function timed<T>(what: string, work: () => T): T {
  const started = performance.now();
  try {
    return work();
  } finally {
    spans.push({ what, milliseconds: performance.now() - started });
  }
}

/** What was noted so far, in the order in which it ended. */
export function takenSpans(): readonly Span[] {
  return spans;
}
