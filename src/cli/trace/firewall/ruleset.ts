// The firewall's rules as `nft --json list ruleset` prints them (libnftables-json(5)), read once for each namespace.
import type { Namespace } from "../../../datapath/netns.ts";
import { output } from "../../program.ts";
import { readIptables } from "./iptables.ts";
import { type Chain, isAtDevice, type Rule, type Ruleset, tableOf } from "./rule.ts";

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
  const command = ["nft", "--handle", "--stateless", "list", "chain", family, table, chain] as const;
  const listed = namespace.inside(() => output([...command]));
  const lines = listed.kind === "done" ? listed.text.split("\n") : [];
  const line = lines.find((line) => line.endsWith(`# handle ${handle}`));
  return line?.replace(/ # handle \d+$/, "").trim() ?? `handle ${handle}`;
}

function readAnew(namespace: Namespace): Reading {
  const listed = namespace.inside(() => output(["nft", "--json", "list", "ruleset"]));
  if (listed.kind === "missing") return { kind: "unreadable", reason: "nft is not installed" };
  if (listed.kind === "failed") return { kind: "unreadable", reason: listed.reason };
  const { chains: told, sets, flagged } = parseRuleset(listed.text);
  const dormant = new Set(flagged.filter((table) => isDormant(namespace, table)).map(tableOf));
  const chains = told
    .filter((chain) => !dormant.has(tableOf(chain)))
    .map((chain) => (isAtDevice(chain) ? { ...chain, ...devicesOf(namespace, chain) } : chain));
  const saved = readIptables(namespace, chains);
  if (typeof saved === "string") return { kind: "unreadable", reason: saved };
  const known = new Set(saved.filter(({ tool }) => tool?.endsWith("-nft")).map(tableOf));
  const others = chains.filter((chain) => !known.has(tableOf(chain)));
  return { kind: "read", ruleset: { chains: [...others, ...saved], sets } };
}

/** Tables that the kernel passes over; in JSON nft 1.0 tells that a table has flags, but not which. */
function isDormant(namespace: Namespace, { family, table }: Pick<Chain, "family" | "table">): boolean {
  const listed = namespace.inside(() => output(["nft", "--terse", "list", "table", family, table]));
  return listed.kind === "done" && /^\tflags .*\bdormant\b/m.test(listed.text);
}

/** Which interfaces a chain is at, which nft 1.0 does not tell in JSON: `hook ingress devices = { eth0, eth1 } …`. */
function devicesOf(namespace: Namespace, { family, table, name }: Chain): Pick<Chain, "devices"> {
  const listed = namespace.inside(() => output(["nft", "--terse", "list", "chain", family, table, name]));
  const [, words] = (listed.kind === "done" && / hook \w+ devices? (.*?) priority /.exec(listed.text)) || [];
  return words === undefined ? {} : { devices: words.match(/[^\s"{},=]+/g) ?? [] };
}

/** `flagged` are the tables with flags of any kind. */
export function parseRuleset(json: string): Ruleset & { flagged: Pick<Chain, "family" | "table">[] } {
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
  const tables = all("table") as { family: string; name: string; flags?: unknown }[];
  return {
    chains,
    flagged: tables
      .filter(({ flags }) => flags !== undefined)
      .map(({ family, name }) => ({ family, table: name })),
    sets: new Map(sets.map(({ family, table, name, elem }) => [`${family} ${table} ${name}`, elem ?? []])),
  };
}
