// slash32 log: what the verbs wrote down, for people.
import { sleep } from "../../libc.ts";
import { type Command, Exit, readOptions, type Terminal, UsageError } from "../command.ts";
import { isOurs, readConfDir } from "../node/configuration.ts";
import { Files } from "../node/files.ts";
import { painter } from "../paint.ts";
import { EntryReader, inParts, lastOf, merge } from "./entries.ts";
import type { Entry } from "./entry.ts";
import { Columns, rowOf } from "./row.ts";
import { isThere, type Piece, Tail } from "./tail.ts";

const DEFAULT_CONF_DIR = "/etc/cni/net.d";
/** How long --follow may keep a line to itself. */
const POLL_MS = 250;
/** So many lines are aligned with each other; those after them may be wider. */
const ALIGNED = 1000;

const OPTIONS = {
  file: { type: "string", multiple: true },
  "cni-conf-dir": { type: "string" },
  pod: { type: "string" },
  container: { type: "string" },
  verb: { type: "string" },
  failed: { type: "boolean" },
  last: { type: "string" },
  follow: { type: "boolean", short: "f" },
  json: { type: "boolean" },
} as const;

export const log: Command = {
  help: `slash32 log [options]

Shows what was logged: a line a verb, with time, verb, pod, network, how long it took, addresses or error, and the parts
that took longest. There is a log where the configuration has a logFile.

  --file FILE         the log; may be repeated (default: the logFile of the runtime's configurations)
  --cni-conf-dir DIR  where these are (default ${DEFAULT_CONF_DIR})
  --pod NAME          only this pod's, as NAMESPACE/NAME or NAME
  --container ID      only this container's; the beginning of the ID will do
  --verb VERB         only ADD, DEL, CHECK, GC or STATUS
  --failed            only verbs that failed
  --last N            only the last N of these
  --follow, -f        go on with what comes
  --json              the lines as they were written

Lines that cannot be read are counted, and told on standard error.

Examples:
  slash32 log --failed --last 20
  slash32 log --pod default/web
  slash32 log --follow --json | jq -c 'select(.ms > 100) | [.time, .pod, .ms, .slowest]'
`,
  run(args, terminal) {
    const values = readOptions("log", args, OPTIONS);
    const files = values.file ?? configuredFiles(values["cni-conf-dir"] ?? DEFAULT_CONF_DIR);
    const missing = files.find((file) => !isThere(file));
    // Who follows may be there before the first verb.
    if (missing !== undefined && !values.follow) throw new Error(`Cannot read ${missing}: no such file`);
    const last = numberFrom(values.last);
    const tails = files.map((file) => new Tail(file));
    const printer = new Printer(new EntryReader(values), values.json ?? false, terminal);
    const history = tails.map((tail) => (values.follow ? tail.history() : whole(tail)));
    const isRead = printer.print(history, last);
    return isRead && values.follow ? follow(tails, printer) : Exit.ok;
  },
};

/** Also what nobody will complete any more. */
function* whole(tail: Tail): Generator<Piece> {
  yield* tail.history();
  yield tail.unfinished();
}

function configuredFiles(directory: string): string[] {
  const entries = readConfDir({ files: new Files("/"), path: directory })
    .filter(isOurs)
    .flatMap(({ plugins }) => plugins);
  const named = entries.flatMap(({ type, logFile }) =>
    type === "slash32" && typeof logFile === "string" ? [logFile] : [],
  );
  if (named.length > 0) return [...new Set(named)];
  throw new Error(`Cannot find a log: no configuration in ${directory} has a logFile; give --file FILE`);
}

function numberFrom(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new UsageError(`--last is ${JSON.stringify(text)}, expected a number`);
}

/** Until the process is ended, or nobody reads any more. */
function follow(tails: readonly Tail[], printer: Printer): number {
  for (;;) {
    sleep(POLL_MS);
    if (!printer.print(tails.map((tail) => tail.read()))) return Exit.ok;
  }
}

class Printer {
  readonly #reader: EntryReader;
  readonly #json: boolean;
  readonly #terminal: Terminal;
  readonly #columns = new Columns();

  constructor(reader: EntryReader, json: boolean, terminal: Terminal) {
    this.#reader = reader;
    this.#json = json;
    this.#terminal = terminal;
  }

  /** What is in the logs, or the last so many entries of it. False when the reader of standard output is gone. */
  print(logs: readonly Iterable<Piece>[], last?: number): boolean {
    const entries = merge(logs.map((pieces) => this.#reader.entries(pieces)));
    const isRead = this.#out(last === undefined ? entries : lastOf(entries, last));
    const broken = this.#reader.takeBroken();
    if (broken > 0) this.#terminal.err(`slash32 log: ${count(broken)} could not be read\n`);
    return isRead;
  }

  #out(entries: Iterable<Entry>): boolean {
    for (const part of inParts(entries, ALIGNED)) {
      const lines = this.#json ? part.map((entry) => JSON.stringify(entry)) : this.#aligned(part);
      if (!this.#terminal.out(lines.map((line) => `${line}\n`).join(""))) return false;
    }
    return true;
  }

  #aligned(entries: readonly Entry[]): string[] {
    const paint = painter(this.#terminal.colours);
    const rows = entries.map((entry) => rowOf(entry, paint));
    for (const { cells } of rows) this.#columns.fit(cells);
    return rows.map(({ cells, rest }) => this.#columns.line(cells, rest));
  }
}

function count(lines: number): string {
  return lines === 1 ? "1 line or part of one" : `${lines} lines or parts of them`;
}
