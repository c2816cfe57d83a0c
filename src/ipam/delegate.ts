// Another IPAM plugin gives the addresses: it is executed as the CNI specification says (section 4, "Delegation").
import { statusOf, tryWriteText } from "../files.ts";
import { type Ended, run } from "../spawn.ts";
import { timed } from "../trace.ts";

/** A plugin that hangs is killed: the runtime's own deadline is minutes away, and it would kill us instead. */
const TIMEOUT_MS = 30_000;
/** No result is this long. */
const LONGEST_ANSWER_BYTES = 1 << 20;

/** The specification's error object, as the plugin printed it. */
export interface DelegateAnswer {
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** The plugin could not be run, refused, or answered what is no answer. */
export class DelegateError extends Error {
  override readonly name = "DelegateError";
  /** Its own error object, which is passed on; absent when it printed none. */
  readonly answer: DelegateAnswer | undefined;
  /** Whether there is no such executable. */
  readonly isMissing: boolean;

  constructor(message: string, answer?: DelegateAnswer, options: ErrorOptions & { isMissing?: true } = {}) {
    super(message, options);
    this.answer = answer;
    this.isMissing = options.isMissing ?? false;
  }
}

export interface Delegate {
  /** The executable's name; of an IPAM plugin `ipam.type`. */
  readonly type: string;
  /** For the words of errors; "IPAM plugin" if nothing is said. */
  readonly kind?: string;
  /** CNI_PATH, split. */
  readonly path: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The configuration as it came, letter for letter. */
  readonly netconf: string;
  /** A descriptor that it has, too: of locks that are held until it has ended, also when we are killed meanwhile. */
  readonly inherited?: number | undefined;
  /** How long it may take; 30 s if nothing is said. */
  readonly timeoutMs?: number;
}

/**
 * Runs one verb of the plugin, with the same environment but for CNI_COMMAND (and what `changes` says), and returns
 * what it printed as JSON; `undefined` for nothing. Its stderr becomes ours. Throws a DelegateError.
 */
export function runDelegate(delegate: Delegate, verb: string, changes: Record<string, string> = {}): unknown {
  const { type, kind = "IPAM plugin", environment, netconf, inherited, timeoutMs = TIMEOUT_MS } = delegate;
  const executable = findPlugin(delegate);
  const attempt = `run ${kind} "${type}" (${executable}) for ${verb}`;
  const program = {
    command: [executable] as const,
    environment: { ...environment, ...changes, CNI_COMMAND: verb },
    input: netconf,
    inherited,
    timeoutMs,
    longestOutputBytes: LONGEST_ANSWER_BYTES,
  };
  const ended = timed(`${type} ${verb}`, () => started(attempt, () => run(program)));
  tryWriteText(2, ended.stderr); // its words for people
  if (ended.timedOut) throw new DelegateError(`Cannot ${attempt}: no answer in ${timeoutMs / 1000} s`);
  if (ended.exitCode !== 0) throw refusal(attempt, ended.stdout, describeEnd(ended));
  return parse(ended.stdout, `${attempt}: its answer is not JSON`);
}

/** What is no program, or may not be executed, does not even start. */
function started<T>(attempt: string, start: () => T): T {
  try {
    return start();
  } catch (cause) {
    throw new DelegateError(`Cannot ${attempt}: ${(cause as Error).message}`, undefined, { cause });
  }
}

/** The first file of that name in CNI_PATH. A name with a slash would leave the directories: it is refused. */
function findPlugin({ type, kind = "IPAM plugin", path }: Delegate): string {
  if (type.includes("/") || type === "." || type === "..") {
    throw new DelegateError(`Cannot find ${kind} "${type}": a name must not contain "/"`);
  }
  const found = path.map((directory) => `${directory}/${type}`).find(isFile);
  if (found === undefined) {
    const message = `Cannot find ${kind} "${type}": it is not in CNI_PATH (${path.join(":") || "empty"})`;
    throw new DelegateError(message, undefined, { isMissing: true });
  }
  return found;
}

/** What cannot be looked at is passed over, as a shell does with its PATH. */
function isFile(path: string): boolean {
  try {
    return statusOf(path).kind === "file";
  } catch {
    return false;
  }
}

function describeEnd({ exitCode, signal }: Ended): string {
  return signal ? `it was ended by ${signal}` : `it exited with ${exitCode}`;
}

function refusal(attempt: string, stdout: string, end: string): DelegateError {
  let answer: Partial<DelegateAnswer>;
  try {
    answer = JSON.parse(stdout) ?? {};
  } catch {
    return new DelegateError(`Cannot ${attempt}: ${end} and printed no error object`);
  }
  const { code, msg, details } = answer;
  if (typeof code !== "number" || typeof msg !== "string") {
    return new DelegateError(`Cannot ${attempt}: ${end} and printed no error object`);
  }
  const known = { code, msg, ...(typeof details === "string" ? { details } : {}) };
  return new DelegateError(`Cannot ${attempt}: ${msg}`, known);
}

function parse(stdout: string, complaint: string): unknown {
  if (stdout.trim() === "") return undefined;
  try {
    return JSON.parse(stdout);
  } catch {
    throw new DelegateError(`Cannot ${complaint}`);
  }
}
