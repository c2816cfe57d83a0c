// What a firewall does with a packet, as far as that can be told from the rules alone. Pure.
import { type Maybe, matches, type Packet } from "./match.ts";
import { type Chain, type Expression, isAtDevice, type Rule, type Ruleset } from "./rule.ts";

/** What decides: a rule, or a base chain's policy. */
export type Evidence =
  | { readonly kind: "rule"; readonly rule: Rule; readonly chain: Chain }
  | { readonly kind: "policy"; readonly chain: Chain };

/** "masquerade", "snat", "dnat", "redirect": the packet's addresses are not what they were, or may not be. */
export interface Translation {
  readonly kind: string;
  readonly evidence: Evidence;
  readonly isCertain: boolean;
}

export interface Outcome {
  readonly verdict: "accept" | "drop" | "unknown";
  /** What drops it; or what cannot be decided, and would make the difference. */
  readonly by: Evidence | undefined;
  readonly translation: Translation | undefined;
  /** Base chains that were asked. */
  readonly asked: number;
}

/** How a chain may end. Each end is there with what leads to it; several where something cannot be decided. */
interface Ends {
  accept?: Evidence;
  drop?: Evidence;
  /** The packet comes out below: the caller's next rule, or the policy. */
  through?: true;
  /** The first rule that could not be decided. */
  doubt?: Evidence;
  translation?: Translation;
}

/** What is followed through which rules, and how many jumps deep. */
interface Walk {
  readonly ruleset: Ruleset;
  readonly packet: Packet;
  readonly depth: number;
}

/** Translations after which the packet is for somebody else than TO. */
const REDIRECTING = ["dnat", "redirect"];
const TRANSLATIONS = ["masquerade", "snat", "dnat", "redirect"];
/** Statements that let the packet go on to the next rule. */
const HARMLESS = ["counter", "log", "comment", "mangle", "notrack", "text"];
/** Targets of iptables that do. */
const HARMLESS_TARGETS = ["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "NOTRACK"];
/** Chains that jump to one another deeper than the kernel allows (NFT_JUMP_STACK_SIZE) are not followed. */
const DEEPEST = 16;

/** The hooks in the order in which the packet comes by, as far as it is the packet that was asked for. */
export function evaluate(ruleset: Ruleset, hooks: readonly string[], packet: Packet): Outcome {
  let doubt: Evidence | undefined;
  let translation: Translation | undefined;
  const chains = baseChains(ruleset, hooks, packet);
  const asked = chains.length;
  for (const chain of chains) {
    const ends = follow(chain, { ruleset, packet, depth: 0 });
    if (ends.through) {
      const policy = chain.policy === "drop" ? "drop" : "accept";
      ends[policy] ??= { kind: "policy", chain };
    }
    const isAsked = !isAtDevice(chain) || chain.devices !== undefined;
    if (ends.drop && !ends.accept && isAsked) return { verdict: "drop", by: ends.drop, translation, asked };
    if (ends.drop) doubt ??= ends.doubt ?? ends.drop;
    translation ??= ends.translation;
    if (isRedirecting(translation)) break; // what comes after it is asked about another packet
  }
  return { verdict: doubt ? "unknown" : "accept", by: doubt, translation, asked };
}

/** Whether the packet goes, or may go, to somebody else than TO. */
export function isRedirecting(translation: Translation | undefined): translation is Translation {
  return translation !== undefined && REDIRECTING.includes(translation.kind);
}

/** An interface's own chains are before and after those of the host. */
const AT_DEVICES: Readonly<Record<string, readonly string[]>> = {
  prerouting: ["ingress", "prerouting"],
  postrouting: ["postrouting", "egress"],
};

function baseChains({ chains }: Ruleset, hooks: readonly string[], packet: Packet): Chain[] {
  const order = hooks.flatMap((hook) => AT_DEVICES[hook] ?? [hook]);
  return (
    chains
      .filter((chain) => order.includes(chain.hook ?? "") && sees(chain, packet))
      // Address translation is decided by the first packet of a connection.
      .filter(({ type }) => type !== "nat" || !packet.isReply)
      .sort(
        (a, b) => order.indexOf(a.hook ?? "") - order.indexOf(b.hook ?? "") || (a.prio ?? 0) - (b.prio ?? 0),
      )
  );
}

function sees(chain: Chain, { from, iif, oif }: Packet): boolean {
  if (!isAtDevice(chain)) return ["inet", from.family === 4 ? "ip" : "ip6"].includes(chain.family);
  const device = chain.hook === "ingress" ? iif : oif;
  return device !== undefined && (chain.devices?.includes(device) ?? true);
}

function follow(chain: Chain, walk: Walk): Ends {
  const ends: Ends = {};
  for (const rule of chain.rules) {
    const evidence: Evidence = { kind: "rule", rule, chain };
    const { matched, effect } = applied(rule, chain, walk);
    if (matched === false || effect === undefined) continue;
    // Only where no rule before it can have decided.
    const isCertain = matched === true && !ends.accept && !ends.drop && !ends.through;
    if (effect.translation)
      ends.translation ??= isCertain ? effect.translation : { ...effect.translation, isCertain };
    if (matched === undefined || effect.doubt) ends.doubt ??= effect.doubt ?? evidence;
    if (effect.accept) ends.accept ??= effect.accept;
    if (effect.drop) ends.drop ??= effect.drop;
    if (matched && effect.isReturn) return { ...ends, through: true };
    if (effect.isReturn) ends.through = true;
    if (matched && !effect.through) return ends;
  }
  ends.through = true;
  return ends;
}

type Effect = Ends & { readonly isReturn?: boolean };

/** Expressions and statements from left to right; a rule without a verdict has no effect. */
function applied(rule: Rule, chain: Chain, walk: Walk): { matched: Maybe; effect: Effect | undefined } {
  const evidence: Evidence = { kind: "rule", rule, chain };
  let matched: Maybe = true;
  for (const expression of rule.expr) {
    const [[key, value] = ["", undefined]] = Object.entries(expression);
    if (HARMLESS.includes(key)) continue;
    const statement = statementOf(key, value, evidence, walk);
    if (statement) return { matched, effect: statement === "none" ? undefined : statement };
    const answer = answerOf(key, value, rule, walk);
    if (answer === false) return { matched: false, effect: undefined };
    if (answer === undefined) matched = undefined;
    const mapped = key === "vmap" ? mapOf(value, evidence, walk) : undefined;
    if (mapped) return { matched, effect: mapped };
  }
  return { matched, effect: undefined };
}

/** A statement that ends the rule; "none" when it does so without a verdict. */
function statementOf(
  key: string,
  value: unknown,
  evidence: Evidence,
  walk: Walk,
): Effect | "none" | undefined {
  if (key === "accept") return { accept: evidence };
  if (key === "drop" || key === "reject") return { drop: evidence };
  if (key === "return") return { isReturn: true };
  if (key === "jump" || key === "goto") return jump(key, value, evidence, walk);
  if (TRANSLATIONS.includes(key)) return translated(key, evidence);
  if (["queue", "tproxy", "fwd"].includes(key)) return { accept: evidence, drop: evidence, doubt: evidence };
  return key === "xt" ? target(value, evidence) : undefined;
}

function translated(kind: string, evidence: Evidence): Effect {
  return { accept: evidence, translation: { kind, evidence, isCertain: true } };
}

/** Of iptables-nft only the name is told. */
function target(value: unknown, evidence: Evidence): Effect | "none" | undefined {
  const { type, name = "" } = (value ?? {}) as { type?: string; name?: string };
  if (type !== "target") return undefined;
  if (HARMLESS_TARGETS.includes(name)) return "none";
  if (name === "REJECT") return { drop: evidence };
  const kind = name.toLowerCase();
  if (TRANSLATIONS.includes(kind)) return translated(kind, evidence);
  return { accept: evidence, drop: evidence, through: true, doubt: evidence };
}

function jump(key: "jump" | "goto", value: unknown, evidence: Evidence, walk: Walk): Effect {
  const { family, table } = evidence.chain;
  const { target } = value as { target?: string };
  const chain = walk.ruleset.chains.find(
    (chain) =>
      chain.family === family &&
      chain.table === table &&
      chain.name === target &&
      chain.tool === evidence.chain.tool,
  );
  if (chain === undefined || walk.depth >= DEEPEST)
    return { accept: evidence, drop: evidence, doubt: evidence };
  const ends = follow(chain, { ...walk, depth: walk.depth + 1 });
  return key === "goto" && ends.through ? { ...ends, isReturn: true } : ends;
}

/** `ct state vmap { established : accept, … }`: the element's own verdict, or on to the next rule. */
function mapOf(value: unknown, evidence: Evidence, walk: Walk): Effect | undefined {
  const { key, data } = value as { key?: unknown; data?: { set?: unknown } | string };
  const pairs =
    typeof data === "object" && Array.isArray(data.set) ? (data.set as [unknown, Expression][]) : undefined;
  if (pairs === undefined) return { accept: evidence, drop: evidence, through: true, doubt: evidence };
  for (const [element, statement] of pairs) {
    const answer = matches({ op: "==", left: key, right: element }, walk.packet, () => []);
    if (answer === undefined) return { accept: evidence, drop: evidence, through: true, doubt: evidence };
    const [[name, inner] = ["", undefined]] = Object.entries(statement);
    if (!answer) continue;
    const effect = statementOf(name, inner, evidence, walk);
    return effect === "none" ? undefined : effect;
  }
  return undefined;
}

function answerOf(
  key: string,
  value: unknown,
  { family, table }: Rule,
  { ruleset: { sets }, packet }: Walk,
): Maybe {
  if (key === "vmap") return true;
  if (key === "match") {
    return matches(value as object, packet, (name) => sets.get(`${family} ${table} ${name}`) ?? []);
  }
  const isComment = key === "xt" && (value as { name?: string }).name === "comment";
  return isComment ? true : undefined;
}
