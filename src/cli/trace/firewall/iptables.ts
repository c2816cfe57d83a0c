// The rules of iptables, as `iptables-save` prints them: those of iptables-legacy, which nft does not show, and those of
// iptables-nft, of which nft tells no more than the names of modules. Turned into nft's words, so that one evaluation
// serves all. What is not understood becomes an expression that nobody can decide.
import { formatAddress, type Prefix, parseAddress, parsePrefix, width } from "../../../address.ts";
import type { Namespace } from "../../../datapath/netns.ts";
import { readText } from "../../../files.ts";
import { output } from "../../program.ts";
import { type Chain, type Expression, type Rule, tableOf } from "./rule.ts";

const TOOLS = { ip: ["ip_tables_names", "iptables"], ip6: ["ip6_tables_names", "ip6tables"] } as const;
/** include/uapi/linux/netfilter_ipv4.h, NF_IP_PRI_*. */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };
const HARMLESS_TARGETS = ["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "NOTRACK"];

/** Chains that are better read so than with nft, given what nft told. A text is why they could not be read. */
export function readIptables(namespace: Namespace, told: readonly Chain[]): Chain[] | string {
  const chains: Chain[] = [];
  for (const family of ["ip", "ip6"] as const) {
    const [names, tool] = TOOLS[family];
    if (hasTables(namespace, names)) {
      // Where there is no other, it has no suffix.
      const read = save(namespace, family, `${tool}-legacy`) ?? save(namespace, family, tool);
      if (read === undefined)
        return `${tool} has rules, and neither ${tool}-legacy-save nor ${tool}-save can be run`;
      chains.push(...read);
    }
    const vague = new Set(told.filter((chain) => chain.family === family && isVague(chain)).map(tableOf));
    if (vague.size === 0) continue;
    const read = save(namespace, family, `${tool}-nft`) ?? [];
    chains.push(...read.filter((chain) => vague.has(tableOf(chain))));
  }
  return chains;
}

function isVague({ rules }: Chain): boolean {
  return rules.some(({ expr }) => expr.some((expression) => "xt" in expression));
}

function save(namespace: Namespace, family: "ip" | "ip6", tool: string): Chain[] | undefined {
  const saved = namespace.inside(() => output([`${tool}-save`]));
  return saved.kind === "done" ? parseSaved(saved.text, family, tool) : undefined;
}

/** The kernel lists the tables that are in use; /proc/net would be the main thread's namespace. */
function hasTables(namespace: Namespace, names: string): boolean {
  try {
    return namespace.inside<string>(() => readText(`/proc/thread-self/net/${names}`)) !== "";
  } catch {
    return false; // a kernel without it
  }
}

/** `tool` is the command that would change these rules. */
export function parseSaved(text: string, family: "ip" | "ip6", tool: string): Chain[] {
  const chains = new Map<string, Chain & { rules: Rule[] }>();
  let table = "";
  for (const [at, line] of text.split("\n").entries()) {
    if (line.startsWith("*")) table = line.slice(1);
    if (line.startsWith(":")) {
      const [name = "", policy = ""] = line.slice(1).split(" ");
      chains.set(`${table} ${name}`, { ...chainOf({ family, table, name, tool }, policy), rules: [] });
    }
    if (!line.startsWith("-A ")) continue;
    const [, chain = "", ...words] = line.match(/"(?:\\.|[^"])*"|\S+/g) ?? [];
    const expr = [...expressions(words), { text: line }];
    chains.get(`${table} ${chain}`)?.rules.push({ family, table, chain, handle: at, expr: textFirst(expr) });
  }
  return [...chains.values()];
}

type Named = Pick<Chain, "family" | "table" | "name" | "tool">;

/** Chains of one's own have no policy, and no hook. */
function chainOf(named: Named, policy: string): Omit<Chain, "rules"> {
  if (policy === "-") return named;
  const isNat = named.table === "nat";
  const prio = isNat ? (named.name === "PREROUTING" ? -100 : 100) : (PRIORITIES[named.table] ?? 0);
  return {
    ...named,
    hook: named.name.toLowerCase(),
    type: isNat ? "nat" : "filter",
    prio,
    policy: policy.toLowerCase(),
  };
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
      return match(payload(option === "-s" ? "saddr" : "daddr", value), prefix(value));
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
    case "--dst-type":
      return match({ fib: { result: "type", flags: ["daddr"] } }, value.toLowerCase().split(","));
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

function payload(field: string, value: string): Expression {
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
