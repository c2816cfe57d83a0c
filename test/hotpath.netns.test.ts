// Keeps the hot path lean by counting, not by timing: what one ADD and one DEL ask of the kernel, and which modules
// they load, against the figures in hotpath.budget.json.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { TestHost, TestNetns } from "./helpers/lab.ts";
import { netconf, plugin, type Verb } from "./helpers/plugin.ts";

/** How often each thing happened, by its name. */
type Counts = Readonly<Record<string, number>>;

interface Budget {
  /** More than VERSION makes, which needs the runtime alone. */
  readonly systemCalls: Readonly<Record<"ADD" | "DEL", Counts>>;
  readonly netlink: Readonly<Record<"ADD" | "DEL", Counts>>;
  /** Our own, loaded by ADD. */
  readonly modules: Counts;
  /** The runtime's own, loaded by every verb before our first line. */
  readonly builtins: Counts;
}

const ROOT = join(import.meta.dirname, "..");
const BUDGET = join(import.meta.dirname, "hotpath.budget.json");
/** The same program, from its sources. */
const SOURCES = [join(ROOT, "node_modules/.bin/bun"), join(ROOT, "src/main.ts")];

/** For what differs between machines and kernels. */
const ALLOWANCE = { systemCalls: 5, modules: 1 } as const;

/** Memory and threads are Bun's own affair, and no two runs are alike in them. */
const NOT_OURS = /^(brk|clone3|futex|madvise|mmap|mprotect|mremap|munmap|rseq|sched_\w+|set_robust_list)$/;
/** Bun looks how large it is whenever it thinks of collecting garbage. */
const OWN_SIZE = /\/proc\/\w+\/statm\b/;
/** A module's source is opened when it is loaded. */
const SOURCE = /^openat\(.*?"(\/[^"]+\.(?:[cm]?js|ts))"/;

let now: Budget;
let agreed: Budget;

beforeAll(() => {
  now = measure();
  if (existsSync(BUDGET)) agreed = JSON.parse(readFileSync(BUDGET, "utf8"));
  else {
    writeFileSync(BUDGET, `${JSON.stringify(now, null, 2)}\n`);
    throw new Error(`${BUDGET} was missing and has been written: read it, and commit it if it is right`);
  }
});

test.for(["ADD", "DEL"] as const)("%s makes no more system calls than were agreed on", (verb) => {
  const { [verb]: own } = now.systemCalls;
  expectWithin(`system calls of ${verb}`, own, agreed.systemCalls[verb], ALLOWANCE.systemCalls);
});

test.for(["ADD", "DEL"] as const)("%s sends no more netlink messages than were agreed on", (verb) => {
  expectWithin(`netlink datagrams and messages of ${verb}`, now.netlink[verb], agreed.netlink[verb]);
});

test("ADD loads no more modules than were agreed on, and none of other people", () => {
  expect(Object.keys(now.modules).filter((path) => path.startsWith("node_modules/"))).toEqual([]);
  expectWithin("modules of ADD", now.modules, agreed.modules, ALLOWANCE.modules);
});

test("the bundle begins with no more modules of the runtime than were agreed on", () => {
  expectWithin("modules of the runtime", now.builtins, agreed.builtins);
});

function measure(): Budget {
  using host = new TestHost();
  using sandbox = new TestNetns("sandbox");
  const traced = (verb: Verb, instead?: readonly string[]) => trace(verb, host, sandbox, instead);
  // The first ADD makes what all others find: the store.
  traced("ADD");
  traced("DEL");
  const idle = systemCalls(traced("VERSION"));
  const add = traced("ADD");
  const del = traced("DEL");
  return {
    systemCalls: { ADD: less(systemCalls(add), idle), DEL: less(systemCalls(del), idle) },
    netlink: { ADD: netlink(add), DEL: netlink(del) },
    modules: once(sourcesOf(traced("ADD", SOURCES))),
    builtins: once(importsOf(readFileSync(join(ROOT, "dist/index.js"), "utf8"))),
  };
}

/** The lines strace writes about one call of the plugin. */
function trace(verb: Verb, host: TestHost, netns: TestNetns, instead: readonly string[] = []): string[] {
  const directory = mkdtempSync(join(tmpdir(), "slash32-hotpath-"));
  const log = join(directory, "log");
  try {
    const through = ["strace", "-f", "-yy", "-v", "-o", log, ...instead];
    const configuration = netconf(host, { cniVersion: "1.0.0" });
    const { exitCode, stdout } = plugin(verb, { host, netns, netconf: configuration, through });
    if (exitCode !== 0) throw new Error(`Cannot ${verb} to count what it does: ${stdout}`);
    return readFileSync(log, "utf8").split("\n");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the main thread did, which is where all of ours runs. */
function ofMain(lines: readonly string[]): string[] {
  const [main] = (lines[0] ?? "").split(" ");
  return lines.filter((line) => line.startsWith(`${main} `)).map(withoutThread);
}

function withoutThread(line: string): string {
  return line.replace(/^\d+ +/, "");
}

function systemCalls(lines: readonly string[]): Counts {
  const counts: Record<string, number> = {};
  for (const line of ofMain(lines)) {
    const name = /^(\w+)\(/.exec(line)?.[1];
    if (name === undefined || NOT_OURS.test(name) || OWN_SIZE.test(line)) continue;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function netlink(lines: readonly string[]): Counts {
  const sent = ofMain(lines).filter((line) => /^send(to|msg)\(\d+<NETLINK:/.test(line));
  const messages = sent.join("\n").matchAll(/\bnlmsg_len=/g);
  return { datagrams: sent.length, messages: [...messages].length };
}

function sourcesOf(lines: readonly string[]): string[] {
  const opened = lines.map(withoutThread).flatMap((line) => SOURCE.exec(line)?.[1] ?? []);
  return opened.filter((path) => path.startsWith(`${ROOT}/`)).map((path) => relative(ROOT, path));
}

function importsOf(bundle: string): string[] {
  return [...bundle.matchAll(/^import .* from "([^"]+)";$/gm)].map(([, name]) => name as string);
}

function once(names: readonly string[]): Counts {
  return Object.fromEntries([...names].sort().map((name) => [name, 1]));
}

function less(counts: Counts, idle: Counts): Counts {
  const names = [...new Set([...Object.keys(counts), ...Object.keys(idle)])].sort();
  const rows = names.map((name) => [name, (counts[name] ?? 0) - (idle[name] ?? 0)] as const);
  return Object.fromEntries(rows.filter(([, count]) => count !== 0));
}

/** Fails if there are more in all than were agreed on, and tells what grew. */
function expectWithin(what: string, actual: Counts, limit: Counts, allowance = 0): void {
  if (total(actual) <= total(limit) + allowance) return;
  const names = [...new Set([...Object.keys(actual), ...Object.keys(limit)])];
  const changes = names
    .filter((name) => actual[name] !== limit[name])
    .map((name) => `  ${name}: ${limit[name] ?? 0} agreed on, ${actual[name] ?? 0} now`);
  expect.fail(
    `The hot path has become heavier: ${total(actual)} ${what}, ${total(limit) + allowance} allowed\n` +
      `${changes.join("\n")}\n` +
      "If that is worth it, delete test/hotpath.budget.json and run this test: it writes the figures anew",
  );
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
