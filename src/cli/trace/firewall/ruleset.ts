// The firewall's rules as `nft --json list ruleset` prints them (libnftables-json(5)), read once for each namespace.
import type { Namespace } from "../../../datapath/netns.ts";
import { readIptables } from "./iptables.ts";

/** An expression or statement: one key says what it is. Only what `evaluate` knows is looked into. */
export type Expression = Readonly<Record<string, unknown>>;

export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Expression[];
}

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Of base chains: the hook, its order, and what becomes of a packet that no rule decides. */
  readonly hook?: string;
  readonly type?: string;
  readonly prio?: number;
  readonly policy?: string;
  readonly rules: readonly Rule[];
  /** The command of iptables that has this chain, where it was not read with nft. */
  readonly tool?: string;
}

export interface Ruleset {
  readonly chains: readonly Chain[];
  /** Elements of named sets, by "family table name". */
  readonly sets: ReadonlyMap<string, readonly unknown[]>;
}

export type Reading =
  | { readonly kind: "read"; readonly ruleset: Ruleset }
  /** The rules could not be read, and why. */
  | { readonly kind: "unreadable"; readonly reason: string };

/** nft answers in milliseconds; who asks shall not wait for one that is stuck. */
const LIMIT = { timeout: 5000, killSignal: "SIGKILL" } as const;

const readings = new WeakMap<Namespace, Reading>();

export function readRuleset(namespace: Namespace): Reading {
  const known = readings.get(namespace);
  if (known) return known;
  const reading = readAnew(namespace);
  readings.set(namespace, reading);
  return reading;
}

/** The rule as nft prints it; its handle where that cannot be had. */
export function ruleText(namespace: Namespace, { family, table, chain, handle, expr }: Rule): string {
  const [only] = expr;
  if (typeof only?.text === "string") return only.text;
  const { stdout } = runInside(namespace, [
    "nft",
    "--handle",
    "--stateless",
    "list",
    "chain",
    family,
    table,
    chain,
  ]);
  const line = stdout.split("\n").find((line) => line.endsWith(`# handle ${handle}`));
  return line?.replace(/ # handle \d+$/, "").trim() ?? `handle ${handle}`;
}

/** Runs a command in the namespace: a child is born where the calling thread is. */
export function runInside(
  namespace: Namespace,
  cmd: string[],
): { exitCode: number; stdout: string; stderr: string } {
  try {
    const run = namespace.inside(() => Bun.spawnSync({ cmd, stdout: "pipe", stderr: "pipe", ...LIMIT }));
    return { exitCode: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
  } catch (error) {
    // Bun throws when there is no such program.
    return { exitCode: 127, stdout: "", stderr: (error as Error).message };
  }
}

function readAnew(namespace: Namespace): Reading {
  const { exitCode, stdout, stderr } = runInside(namespace, ["nft", "--json", "list", "ruleset"]);
  if (exitCode === 127) return { kind: "unreadable", reason: "nft is not installed" };
  if (exitCode !== 0)
    return { kind: "unreadable", reason: stderr.split("\n")[0] || "nft failed, or did not end" };
  const { chains, sets } = parseRuleset(stdout);
  const saved = readIptables(namespace, chains);
  if (typeof saved === "string") return { kind: "unreadable", reason: saved };
  const known = new Set(saved.filter(({ tool }) => tool?.endsWith("-nft")).map(tableOf));
  const others = chains.filter((chain) => !known.has(tableOf(chain)));
  return { kind: "read", ruleset: { chains: [...others, ...saved], sets } };
}

/** A table by its family and name. */
export function tableOf({ family, table }: Pick<Chain, "family" | "table">): string {
  return `${family} ${table}`;
}

export function parseRuleset(json: string): Ruleset {
  const objects: Record<string, unknown>[] = JSON.parse(json).nftables;
  const all = (key: string) => objects.flatMap((object) => (object[key] === undefined ? [] : [object[key]]));
  const rules = all("rule") as Rule[];
  const chains = (all("chain") as Omit<Chain, "rules">[]).map((chain): Chain => {
    const own = rules.filter(
      ({ family, table, chain: name }) =>
        family === chain.family && table === chain.table && name === chain.name,
    );
    return { ...chain, rules: own };
  });
  const sets = all("set") as { family: string; table: string; name: string; elem?: unknown[] }[];
  return {
    chains,
    sets: new Map(sets.map(({ family, table, name, elem }) => [`${family} ${table} ${name}`, elem ?? []])),
  };
}
