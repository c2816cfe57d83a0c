// The firewall's verdict on what every pod sends and gets, by the same evaluation that a trace makes for one packet.
import { type Address, type Family, parseAddress } from "../../address.ts";
import { isLeasable, nextLeasable } from "../../ipam/range.ts";
import { addressesOf } from "../node/addresses.ts";
import type { Network, Node } from "../node/node.ts";
import { type Fact, Notes } from "../trace/fact.ts";
import { checkFirewall } from "../trace/firewall/check.ts";
import type { Packet } from "../trace/firewall/match.ts";
import { type Check, error, fine, found, unable, type Verdict } from "./check.ts";
import { rangeSetsOf } from "./ranges.ts";
import { hasIpv6, waysOut } from "./settings.ts";
import { sampleName } from "./systemd.ts";

/** Somebody elsewhere (RFC 5737, 3849), asked for what everybody asks for. */
const ELSEWHERE: Readonly<Record<Family, string>> = { 4: "203.0.113.1", 6: "2001:db8::1" };
const PROTOCOL = { protocol: "tcp", port: 443 } as const;
const FORWARDED = ["prerouting", "forward", "postrouting"];

const passed: Check = {
  title: "the firewall lets pods through",
  run(node) {
    const cases = samples(node).flatMap((pod) => [...outwards(node, pod), betweenPods(pod)]);
    return verdictOf(cases.map(({ packet, words }) => ({ words, fact: judge(node, packet) })));
  },
};

export const FIREWALL: readonly Check[] = [passed];

/** A pod that is not there: what is found concerns all, and no policy for a single pod is mistaken for a fault. */
interface Sample {
  readonly address: Address;
  readonly hostEnd: string;
}

interface Case {
  readonly packet: Packet;
  /** "from pods to uplink0". */
  readonly words: string;
}

function outwards(node: Node, { address, hostEnd }: Sample): Case[] {
  const world = parseAddress(ELSEWHERE[address.family]) as Address;
  return waysOut(node, address.family).flatMap(({ name }) => {
    const there = { ...PROTOCOL, from: address, to: world, isReply: false, iif: hostEnd, oif: name };
    const back = { ...PROTOCOL, from: world, to: address, isReply: true, iif: name, oif: hostEnd };
    return [
      { packet: there, words: `from pods to ${name}` },
      { packet: back, words: `of answers from ${name} to pods` },
    ];
  });
}

function betweenPods({ address, hostEnd }: Sample): Case {
  const packet = { ...PROTOCOL, from: address, to: address, isReply: false, iif: hostEnd, oif: hostEnd };
  return { packet, words: "from pod to pod" };
}

function judge(node: Node, packet: Packet): Fact | undefined {
  const notes = new Notes("host");
  checkFirewall(notes, { namespace: node.host }, FORWARDED, packet);
  return notes.facts[0];
}

function verdictOf(facts: readonly { words: string; fact: Fact | undefined }[]): Verdict {
  const doubt = facts.find(({ fact }) => fact?.verdict === "unknown")?.fact;
  const wrong = facts.flatMap(({ words, fact }) => (fact?.verdict === "wrong" ? [{ words, fact }] : []));
  // One rule may drop both families' packets, and both ways: it is told once.
  const reasons = [...new Set(wrong.map(({ fact }) => fact.seen))];
  const findings = reasons.map((reason) => {
    const same = wrong.filter(({ fact }) => fact.seen === reason);
    const which = [...new Set(same.map(({ words }) => words))].join(", ");
    const seen = `the firewall drops packets ${which}: ${reason.replace(/^drops: /, "")}`;
    const mends = [...new Set(same.map(({ fact }) => fact.mend ?? "nft list ruleset"))];
    return error(seen, "Pods get no answer, as if nobody were there.", mends.join(" && "));
  });
  if (findings.length > 0) return found(findings, "");
  if (doubt) return unable(doubt.seen.replace(/^cannot tell: /, ""));
  const [first] = facts;
  return fine(first?.fact?.seen ?? "nobody to ask for");
}

/** For each network and family one; the address is one that nobody has. */
function samples(node: Node): Sample[] {
  const hostEnd = sampleName(node.prefixes()[0] ?? "");
  return node.networks().flatMap((network) =>
    ([4, 6] as const)
      .filter((family) => node.wants(family) && (family === 4 || hasIpv6(node)))
      .flatMap((family) => freeAddress(network, family) ?? [])
      .map((address) => ({ address, hostEnd })),
  );
}

function freeAddress(network: Network, family: Family): Address | undefined {
  const sets = rangeSetsOf(network);
  const ranges = typeof sets === "string" ? [] : sets.flat().filter((range) => range.family === family);
  for (const range of ranges) {
    const last: Address = { family, value: range.last };
    return isLeasable(range, last) ? last : nextLeasable(range, range.first);
  }
  const { stored } = network;
  const held = stored.kind === "read" ? stored.holdings.flatMap((holding) => addressesOf(holding)) : [];
  return held.find((address) => address.family === family);
}
