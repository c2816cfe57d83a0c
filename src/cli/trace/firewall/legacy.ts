// The rules of iptables-legacy, which nft does not show, as `iptables-legacy-save` prints them; turned into nft's words,
// so that one evaluation serves both. What is not understood becomes an expression that nobody can decide.
import { readFileSync } from "node:fs";
import { formatAddress, type Prefix, parseAddress, parsePrefix, width } from "../../../address.ts";
import type { Namespace } from "../../../datapath/netns.ts";
import { type Chain, type Expression, type Rule, runInside } from "./ruleset.ts";

const TOOLS = { ip: ["ip_tables_names", "iptables"], ip6: ["ip6_tables_names", "ip6tables"] } as const;
/** include/uapi/linux/netfilter_ipv4.h, NF_IP_PRI_*. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };
const HARMLESS_TARGETS = ["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "NOTRACK"];

/** Both families' chains; none where no such table is there. A text is why they could not be read. */
export function readLegacy(namespace: Namespace): Chain[] | string {
  const chains: Chain[] = [];
  for (const family of ["ip", "ip6"] as const) {
    const [names, tool] = TOOLS[family];
    if (!hasTables(namespace, names)) continue;
    const commands = [`${tool}-legacy-save`, `${tool}-save`];
    const saved = commands
      .map((command) => runInside(namespace, [command]))
      .find(({ exitCode }) => exitCode === 0);
    if (saved === undefined) return `${tool} has rules, and neither ${commands.join(" nor ")} can be run`;
    chains.push(...parseSaved(saved.stdout, family));
  }
  return chains;
}

/** The kernel lists the tables that are in use; /proc/net would be the main thread's namespace. */
function hasTables(namespace: Namespace, names: string): boolean {
  try {
    return namespace.inside<string>(() => readFileSync(`/proc/thread-self/net/${names}`, "utf8")) !== "";
  } catch {
    return false; // a kernel without it
  }
}

export function parseSaved(text: string, family: "ip" | "ip6"): Chain[] {
  const chains = new Map<string, Chain & { rules: Rule[] }>();
  let table = "";
  for (const [at, line] of text.split("\n").entries()) {
    if (line.startsWith("*")) table = line.slice(1);
    if (line.startsWith(":")) {
      const [name = "", policy = ""] = line.slice(1).split(" ");
      chains.set(`${table} ${name}`, { ...chainOf(family, table, name, policy), rules: [] });
    }
    if (!line.startsWith("-A ")) continue;
    const [, chain = "", ...words] = line.match(/"(?:\\.|[^"])*"|\S+/g) ?? [];
    const expr = [...expressions(words), { text: line }];
    chains.get(`${table} ${chain}`)?.rules.push({ family, table, chain, handle: at, expr: textFirst(expr) });
  }
  return [...chains.values()];
}

function chainOf(family: string, table: string, name: string, policy: string): Omit<Chain, "rules"> {
  const common = { family, table, name, isLegacy: true };
  if (policy === "-") return common;
  const type = table === "nat" ? "nat" : "filter";
  const prio = table === "nat" ? (name === "PREROUTING" ? -100 : 100) : (PRIORITIES[table] ?? 0);
  return { ...common, hook: name.toLowerCase(), type, prio, policy: policy.toLowerCase() };
}

/** The text stands first, where `ruleText` finds it. */
function textFirst(expr: readonly Expression[]): Expression[] {
  return [...expr.slice(-1), ...expr.slice(0, -1)];
}

function expressions(words: readonly string[]): Expression[] {
  const result: Expression[] = [];
  let op = "==";
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    const value = words[at + 1] ?? "";
    if (word === "!") {
      op = "!=";
      continue;
    }
    // Names of modules say nothing; their options do.
    if (word !== "-m") result.push(...expressionOf(word, value, op));
    op = "==";
    if (word.startsWith("-")) while (at + 1 < words.length && !/^(-|!$)/.test(words[at + 1] ?? "")) at++;
  }
  return result;
}

function expressionOf(option: string, value: string, op: string): Expression[] {
  const match = (left: Expression, right: unknown) => [{ match: { op, left, right } }];
  switch (option) {
    case "-s":
    case "-d":
      return match(payload("ip", option === "-s" ? "saddr" : "daddr", value), prefix(value));
    case "-i":
    case "-o":
      return match({ meta: { key: option === "-i" ? "iifname" : "oifname" } }, value.replace(/\+$/, "*"));
    case "-p":
      return match({ meta: { key: "l4proto" } }, value);
    case "--dport":
    case "--sport":
      return match({ payload: { protocol: "th", field: option.slice(2) } }, portRange(value));
    case "--ctstate":
    case "--state":
      return match({ ct: { key: "state" } }, value.toLowerCase().split(","));
    case "--comment":
      return [];
    case "-j":
    case "-g":
      return [targetOf(option, value)];
    default:
      // Options of targets come after them, where nobody looks any more.
      return [{ unknown: option }];
  }
}

function payload(_: string, field: string, value: string): Expression {
  return { payload: { protocol: value.includes(":") ? "ip6" : "ip", field } };
}

function prefix(text: string): unknown {
  const read: Prefix | undefined = parsePrefix(text);
  const address = read?.address ?? parseAddress(text);
  if (address === undefined) return {};
  return { prefix: { addr: formatAddress(address), len: read?.length ?? width(address.family) } };
}

function portRange(text: string): unknown {
  const [low, high] = text.split(":").map(Number);
  return high === undefined ? low : { range: [low, high] };
}

function targetOf(option: string, name: string): Expression {
  if (["ACCEPT", "DROP", "REJECT", "RETURN"].includes(name)) return { [name.toLowerCase()]: null };
  const isTarget =
    HARMLESS_TARGETS.includes(name) || ["MASQUERADE", "SNAT", "DNAT", "REDIRECT"].includes(name);
  if (isTarget) return { xt: { type: "target", name } };
  return { [option === "-g" ? "goto" : "jump"]: { target: name } };
}
