// slash32 log: what the verbs wrote down, for people.
import { sleep } from "../../libc.ts";
import { type Command, Exit, readArguments, type Terminal, UsageError } from "../command.ts";
import { isOurs, readConfDir } from "../node/configuration.ts";
import { Files } from "../node/files.ts";
import { painter } from "../paint.ts";
import { type Entry, isWanted, readLine, type Wanted } from "./entry.ts";
import { Columns, rowOf } from "./row.ts";
import { isThere, olderLines, Tail } from "./tail.ts";

const DEFAULT_CONF_DIR = "/etc/cni/net.d";
/** How long --follow may keep a line to itself. */
const POLL_MS = 250;

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
    const { values, positionals } = readArguments(args, OPTIONS);
    if (positionals.length > 0) throw new UsageError(`log takes no ${JSON.stringify(positionals[0])}`);
    const files = values.file ?? configuredFiles(values["cni-conf-dir"] ?? DEFAULT_CONF_DIR);
    const printer = new Printer(values, values.json ?? false, terminal);
    const missing = files.find((file) => !isThere(file));
    // Who follows may be there before the first verb.
    if (missing !== undefined && !values.follow) throw new Error(`Cannot read ${missing}: no such file`);
    const tails = files.map((file) => new Tail(file));
    const whole = [...files.flatMap(olderLines), ...tails.flatMap((tail) => tail.read())];
    const unfinished = values.follow ? [] : tails.flatMap((tail) => tail.unfinished());
    printer.print([...whole, ...unfinished], numberFrom(values.last));
    return values.follow ? follow(tails, printer) : Exit.ok;
  },
};

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
    if (!printer.print(tails.flatMap((tail) => tail.read()))) return Exit.ok;
  }
}

class Printer {
  readonly #wanted: Wanted;
  readonly #json: boolean;
  readonly #terminal: Terminal;
  readonly #columns = new Columns();

  constructor(wanted: Wanted, json: boolean, terminal: Terminal) {
    this.#wanted = wanted;
    this.#json = json;
    this.#terminal = terminal;
  }

  /** False when the reader of standard output is gone. */
  print(lines: readonly string[], last?: number): boolean {
    const read = lines.map(readLine);
    const entries = read
      .flatMap(({ entry }) => (entry && isWanted(entry, this.#wanted) ? [entry] : []))
      .sort(byTime);
    const shown = last === undefined ? entries : entries.slice(Math.max(0, entries.length - last));
    const text = (this.#json ? shown.map((entry) => JSON.stringify(entry)) : this.#aligned(shown))
      .map((line) => `${line}\n`)
      .join("");
    const broken = read.filter(({ broken }) => broken).length;
    if (broken > 0) this.#terminal.err(`slash32 log: ${count(broken)} could not be read\n`);
    return text === "" || this.#terminal.out(text);
  }

  #aligned(entries: readonly Entry[]): string[] {
    const paint = painter(this.#terminal.colours);
    const rows = entries.map((entry) => rowOf(entry, paint));
    for (const { cells } of rows) this.#columns.fit(cells);
    return rows.map(({ cells, rest }) => this.#columns.line(cells, rest));
  }
}

/** Of several files, and of processes that wrote at the same time. */
function byTime({ time: a = "" }: Entry, { time: b = "" }: Entry): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function count(lines: number): string {
  return lines === 1 ? "1 line or part of one" : `${lines} lines or parts of them`;
}
