// The rows of the table: what was promised of each figure, and what was measured.
import { judge, type Limit, ratios, type Summary, summarize, type Verdict } from "./statistics.ts";

/** One of the two that a ratio is made of. */
export interface Side {
  readonly name: string;
  readonly unit: string;
  readonly summary: Summary;
}

export interface Row {
  readonly title: string;
  /** What `measured` is: a ratio has no unit. */
  readonly unit: "" | "ms" | "MB";
  readonly measured: Summary;
  /** Of a ratio: numerator and denominator. */
  readonly sides?: readonly [Side, Side];
  /** Absent where nothing was promised. */
  readonly limit?: Limit;
  readonly verdict?: Verdict;
}

const most = (must: number, aim: number): Limit => ({ kind: "most", must, aim });
const least = (must: number, aim: number): Limit => ({ kind: "least", must, aim });

export const LIMITS = {
  addWall: most(0.9, 0.75),
  addCpu: most(0.9, 0.75),
  delWall: most(1, 0.95),
  polled: most(3, 2),
  burst: most(1, 0.85),
  held: most(1.1, 1.02),
  firstLine: most(5, 4),
  ownWork: most(2.5, 1.8),
  memory: most(40, 32),
  packets: least(0.98, 1),
} as const;

/** A name and its samples, one of every round. */
export interface Samples {
  readonly name: string;
  readonly unit: string;
  readonly samples: readonly number[];
}

/** Two things measured side by side. */
export function ratioRow(title: string, ours: Samples, theirs: Samples, limit?: Limit): Row {
  const measured = summarize(ratios(ours.samples, theirs.samples));
  return judged({ title, unit: "", measured, sides: [side(ours), side(theirs)] }, limit);
}

export function amountRow(title: string, samples: readonly number[], unit: "ms" | "MB", limit?: Limit): Row {
  return judged({ title, unit, measured: summarize(samples) }, limit);
}

export function side({ name, unit, samples }: Samples): Side {
  return { name, unit, summary: summarize(samples) };
}

function judged(row: Row, limit?: Limit): Row {
  return limit ? { ...row, limit, verdict: judge(row.measured, limit) } : row;
}

/** Three digits that matter. */
export function format(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
