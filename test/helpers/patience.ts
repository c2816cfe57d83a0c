/** How long to wait for what takes its time, on a machine that may be slow. */

/** How many times slower than usual everything may be: PATIENCE of the environment, or 1. */
const PATIENCE = Number(process.env.PATIENCE ?? 1);

/** So many milliseconds, or more where everything takes longer. */
export function patient(milliseconds: number): number {
  return milliseconds * PATIENCE;
}

/** So many repetitions, or a fifth of them where everything takes longer. */
export function repetitions(count: number): number {
  return PATIENCE > 1 ? count / 5 : count;
}
