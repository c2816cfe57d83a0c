/** What a piece of work throws, to be looked at from several sides. */

/** Fails when nothing is thrown, or anything but an Error. */
export function thrown(work: () => unknown): Error & Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = work();
  } catch (error) {
    if (error instanceof Error) return error as Error & Record<string, unknown>;
    throw new Error(`Cannot look at what was thrown: it is ${String(error)}`);
  }
  throw new Error(`Cannot look at what was thrown: nothing was, and the outcome is ${JSON.stringify(value)}`);
}
