// The rows of the table: what was promised of each figure, and what was measured.
import { judge, type Limit, ratios, type Summary, summarize, type Verdict } from "./statistics.ts";

export interface Row {
  readonly title: string;
  /** What `measured` is: a ratio has no unit. */
  readonly unit: "" | "ms" | "MB";
  readonly measured: Summary;
  /** What the ratio is made of, in words: "7.9 ms to 8.2 ms". */
  readonly figures: string;
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
  idle: most(3, 2),
  burst: most(1, 0.85),
  held: most(1.1, 1.02),
  firstLine: most(5, 4),
  ownWork: most(2.5, 1.8),
  memory: most(40, 32),
  packets: least(0.98, 1),
} as const;

/** Two things measured side by side, a sample of each in every round. */
export function ratioRow(
  title: string,
  { ours, theirs, unit }: { ours: readonly number[]; theirs: readonly number[]; unit: string },
  limit?: Limit,
): Row {
  const figures = `${figure(ours, unit)} to ${figure(theirs, unit)}`;
  return judged({ title, unit: "", measured: summarize(ratios(ours, theirs)), figures }, limit);
}

export function amountRow(title: string, samples: readonly number[], unit: "ms" | "MB", limit?: Limit): Row {
  return judged({ title, unit, measured: summarize(samples), figures: "" }, limit);
}

function judged(row: Row, limit?: Limit): Row {
  return limit ? { ...row, limit, verdict: judge(row.measured, limit) } : row;
}

function figure(samples: readonly number[], unit: string): string {
  return `${format(summarize(samples).median)} ${unit}`;
}

/** Three digits that matter. */
export function format(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}
