// The log: one line of JSON for each verb, for whoever has to find out later what happened.
import { appendLine } from "../journal.ts";
import { takenSpans } from "../trace.ts";
import type { ErrorObject } from "./error.ts";
import type { NetconfDocument } from "./netconf.ts";
import { podOf, type Request } from "./request.ts";

/** A verb and its outcome. */
export interface Entry {
  readonly request: Request;
  readonly network: string;
  readonly document: NetconfDocument;
  /** When the verb began, as `performance.now()` counts. */
  readonly started: number;
  readonly result?: object | undefined;
  readonly error?: ErrorObject;
}

/** In debug lines; the others name the few that took longest. */
const SLOWEST = 3;

/**
 * Appends the line, if the configuration names a file and the level wants it. A log that cannot be written costs the
 * line, never the pod.
 */
export function logVerb(entry: Entry): void {
  const { logFile, logLevel = "info" } = entry.document;
  // A refused configuration is logged, too: one that is wrong must not decide where.
  const isPath = typeof logFile === "string" && logFile.startsWith("/");
  if (!isPath || !isWanted(entry, logLevel)) return;
  try {
    appendLine(logFile, JSON.stringify(line(entry, logLevel === "debug")));
  } catch {
    // See above.
  }
}

/** Runtimes poll STATUS every few seconds: that all is well, again, would push what happened to pods out of the log. */
function isWanted({ request, error }: Entry, level: NonNullable<NetconfDocument["logLevel"]>): boolean {
  if (error !== undefined || level === "debug") return true;
  return level === "info" && request.verb !== "STATUS";
}

function line({ request, network, started, result, error }: Entry, all: boolean): object {
  const spans = takenSpans().map(({ what, milliseconds }) => ({ what, ms: rounded(milliseconds) }));
  const slowest = [...spans].sort((a, b) => b.ms - a.ms).slice(0, SLOWEST);
  return {
    time: new Date().toISOString(),
    verb: request.verb,
    network,
    containerId: request.containerId,
    ifName: request.ifName,
    netns: request.netns,
    pod: podOf(request),
    trace: request.environment.TRACEPARENT,
    ms: rounded(performance.now() - started),
    ...(error ? { error } : { result }),
    [all ? "steps" : "slowest"]: all ? spans : slowest,
  };
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}
