// Medians and how far to trust them.

/** `low` and `high` enclose the true median with 95 % confidence; the quartiles show the spread. */
export interface Summary {
  readonly median: number;
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

export function summarize(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new Error("Cannot summarize: there are no samples");
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = confidenceRank(sorted.length);
  return {
    median: quantile(sorted, 0.5),
    lowerQuartile: quantile(sorted, 0.25),
    upperQuartile: quantile(sorted, 0.75),
    low: sorted[rank] as number,
    high: sorted[sorted.length - 1 - rank] as number,
    count: sorted.length,
  };
}

/**
 * Of what was measured side by side: one ratio for each round, so that what slows down both, for as long as a
 * round lasts, cancels out.
 */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  if (ours.length !== theirs.length) throw new Error("Cannot compare: the rounds are not pairs");
  return ours.map((value, round) => value / (theirs[round] as number));
}

/** The value that a share `q` of the samples does not exceed, between two samples in proportion. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

/** 99 of 100 took no longer (nearest rank). */
export function percentile99(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1] as number;
}

export type Verdict = "aim reached" | "met" | "missed" | "too noisy to tell";

export interface Limit {
  readonly must: number;
  readonly aim: number;
  /** "most": the measured value may be at most so large. */
  readonly kind: "most" | "least";
}

/** Whether all of the interval that encloses the true median is on one side of the limit. */
export function judge({ median, low, high }: Summary, { must, aim, kind }: Limit): Verdict {
  const fits = (value: number, limit: number) => (kind === "most" ? value <= limit : value >= limit);
  const [best, worst] = kind === "most" ? [low, high] : [high, low];
  if (fits(worst, must)) return fits(median, aim) ? "aim reached" : "met";
  return fits(best, must) ? "too noisy to tell" : "missed";
}

/**
 * How many samples to leave out at either end, so that the median of what was sampled from lies between the rest
 * with 95 % confidence: each sample is above it or below it as a coin falls. 0 for fewer than six samples.
 */
function confidenceRank(count: number): number {
  let probability = 0.5 ** count;
  let tail = probability;
  let rank = 0;
  while (tail <= 0.025) {
    rank += 1;
    probability *= (count - rank + 1) / rank;
    tail += probability;
  }
  return Math.max(0, rank - 1);
}
