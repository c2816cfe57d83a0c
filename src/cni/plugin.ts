// The protocol's outer shell: one request in, one answer out, whatever happens in between.
import { add } from "./add.ts";
import { check } from "./check.ts";
import { del } from "./del.ts";
import { CniError, Code, type ErrorObject, errorObject } from "./error.ts";
import { gc } from "./gc.ts";
import { logVerb } from "./log.ts";
import { type Netconf, readNetconf } from "./netconf.ts";
import { type Environment, type Request, readRequest } from "./request.ts";
import { renderResult } from "./result.ts";
import { status } from "./status.ts";
import { atLeast, type CniVersion, isSupported, NEWEST_VERSION, version } from "./version.ts";

/** What the runtime gets: at most one JSON object, and the exit status that alone decides success. */
export interface Answer {
  readonly stdout: object | undefined;
  readonly exitCode: 0 | 1;
}

interface Verb {
  /** The first version of the specification that has it. */
  readonly since: CniVersion;
  run(request: Request, netconf: Netconf): object | undefined;
}

const silent =
  (run: (request: Request, netconf: Netconf) => void) => (request: Request, netconf: Netconf) => {
    run(request, netconf);
    return undefined;
  };

const VERBS: Readonly<Record<string, Verb>> = {
  ADD: { since: "0.1.0", run: (request, netconf) => renderResult(add(request, netconf), netconf.cniVersion) },
  DEL: { since: "0.1.0", run: silent(del) },
  CHECK: { since: "0.4.0", run: silent(check) },
  STATUS: { since: "1.1.0", run: silent(status) },
  GC: { since: "1.1.0", run: silent(gc) },
};

/** Far more than a node's worth of attachments; parsed, a hundred times as much memory. */
const LONGEST_INPUT = 8 * 2 ** 20;

/** Answers one request. Never throws. What is wrong is found in the specification's order: 4, 5, 6, 7, 1. */
export function answer(environment: Environment, readStdin: () => string): Answer {
  let spoken: CniVersion = NEWEST_VERSION;
  let log: (outcome: { result?: object | undefined; error?: ErrorObject }) => void = () => {};
  try {
    const started = performance.now();
    const request = readRequest(environment);
    if (request.verb === "VERSION") return { stdout: version(askedVersion(readStdin)), exitCode: 0 };
    const text = readInput(readStdin);
    const asked = askedVersion(() => text);
    if (asked !== undefined && isSupported(asked)) spoken = asked;
    const netconf = readNetconf(text);
    log = (outcome) =>
      logVerb({ request, network: netconf.name, document: netconf.document, started, ...outcome });
    const result = verbOf(request, netconf).run(request, netconf);
    log({ result });
    return { stdout: result, exitCode: 0 };
  } catch (caught) {
    const error = errorObject(caught, spoken);
    log({ error });
    return { stdout: error, exitCode: 1 };
  }
}

function verbOf({ verb }: Request, { cniVersion }: Netconf): Verb {
  const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined;
  if (known === undefined) {
    const expected = `one of ${[...Object.keys(VERBS), "VERSION"].join(", ")}`;
    const message = `Cannot use CNI_COMMAND=${JSON.stringify(verb)}: expected ${expected}`;
    throw new CniError(Code.invalidEnvironment, "InvalidEnvironment", message);
  }
  if (atLeast(cniVersion, known.since)) return known;
  const message = `Cannot ${verb} in CNI ${cniVersion}: it came with ${known.since}; set cniVersion to that or later`;
  throw new CniError(Code.incompatibleVersion, "IncompatibleVersion", message);
}

function readInput(readStdin: () => string): string {
  let text: string;
  try {
    text = readStdin();
  } catch (error) {
    const message = `Cannot read the network configuration from standard input: ${(error as Error).message}`;
    throw new CniError(Code.io, "InputUnreadable", message, undefined, { cause: error });
  }
  if (text.length <= LONGEST_INPUT) return text;
  const message = `Cannot read the network configuration: it has ${text.length} characters, expected at most ${LONGEST_INPUT}`;
  throw new CniError(Code.undecodable, "UndecodableConfig", message);
}

/** The version in a configuration that may be anything: an answer speaks it even to refuse the rest. */
function askedVersion(readStdin: () => string): string | undefined {
  try {
    const { cniVersion } = JSON.parse(readStdin()) ?? {};
    return typeof cniVersion === "string" && cniVersion !== "" ? cniVersion : undefined;
  } catch {
    return undefined; // VERSION comes with no input, too
  }
}
