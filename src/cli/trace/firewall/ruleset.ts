// The firewall's rules as `nft --json list ruleset` prints them (libnftables-json(5)), read once for each namespace.
import type { Namespace } from "../../../datapath/netns.ts";
import { runInside } from "./inside.ts";
import { readIptables } from "./iptables.ts";
import { type Chain, type Rule, type Ruleset, tableOf } from "./rule.ts";

export type Reading =
  | { readonly kind: "read"; readonly ruleset: Ruleset }
  /** The rules could not be read, and why. */
  | { readonly kind: "unreadable"; readonly reason: string };

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
