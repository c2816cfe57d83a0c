// Ctrl-C and its kin: what runs is ended, what was made is disposed of, and the exit status tells.
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const;
/** A command may have died of the terminal's Ctrl-C before this process has noticed its own. */
const GRACE_MS = 50;

/** An AbortSignal that any of the signals aborts from now on; further ones change nothing. */
export function onInterruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of SIGNALS) process.on(signal, () => controller.abort(signal));
  return controller.signal;
}

/** 128 and the signal's number, as shells have it; `undefined` if there was no signal. */
export async function interruptedStatus(interruption: AbortSignal): Promise<number | undefined> {
  if (!interruption.aborted) await Bun.sleep(GRACE_MS);
  if (!interruption.aborted) return undefined;
  return 128 + constants.signals[interruption.reason as (typeof SIGNALS)[number]];
}
