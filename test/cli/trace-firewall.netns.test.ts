// What `trace` makes of firewall rules: yes, no, and "cannot tell", from what nft and iptables-save print.
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/address.ts";
import { evaluate } from "../../src/cli/trace/firewall/evaluate.ts";
import { parseSaved } from "../../src/cli/trace/firewall/iptables.ts";
import type { Packet } from "../../src/cli/trace/firewall/match.ts";
import type { Ruleset } from "../../src/cli/trace/firewall/rule.ts";
import { parseRuleset } from "../../src/cli/trace/firewall/ruleset.ts";
import { TestNetns } from "../helpers/lab.ts";

const ECHO: Packet = {
  from: address("10.20.1.2"),
  to: address("10.20.1.3"),
  protocol: "icmp",
  port: undefined,
  isReply: false,
  iif: "cali111",
  oif: "cali222",
};
const WEB: Packet = { ...ECHO, protocol: "tcp", port: 80 };
const SIX: Packet = { ...ECHO, from: address("fd00:20::2"), to: address("fd00:20::3") };
const REPLY: Packet = { ...WEB, from: WEB.to, to: WEB.from, isReply: true };

type Case = [rule: string, packet: Packet, verdict: "accept" | "drop" | "unknown"];

const CASES: Case[] = [
  ["drop", ECHO, "drop"],
  ["reject", ECHO, "drop"],
  ["counter drop", ECHO, "drop"],
  ['log prefix "seen" drop', ECHO, "drop"],
  ["accept; drop", ECHO, "accept"],
  ['iifname "cali111" drop', ECHO, "drop"],
  ['iifname "cali*" drop', ECHO, "drop"],
  ['iifname "eth*" drop', ECHO, "accept"],
  ['oifname != "cali222" drop', ECHO, "accept"],
  ['oifname { "eth0", "cali*" } drop', ECHO, "drop"],
  ["ip saddr 10.20.1.2 drop", ECHO, "drop"],
  ["ip saddr 10.20.0.0/16 drop", ECHO, "drop"],
  ["ip saddr != 10.20.0.0/16 drop", ECHO, "accept"],
  ["ip daddr 10.20.1.3-10.20.1.5 drop", ECHO, "drop"],
  ["ip daddr { 10.20.1.9, 10.20.1.0/30 } drop", ECHO, "drop"],
  ["ip saddr 10.20.1.2 drop", SIX, "accept"],
  ["ip6 daddr fd00:20::/64 drop", SIX, "drop"],
  ["meta nfproto ipv4 drop", SIX, "accept"],
  ["meta l4proto icmp drop", ECHO, "drop"],
  ["meta l4proto ipv6-icmp drop", SIX, "drop"],
  ["meta l4proto { tcp, udp } drop", ECHO, "accept"],
  ["ip protocol tcp drop", WEB, "drop"],
  ["icmp type echo-request drop", ECHO, "drop"],
  ["icmp type echo-reply drop", ECHO, "accept"],
  ["icmpv6 type echo-request drop", SIX, "drop"],
  ["tcp dport 80 drop", WEB, "drop"],
  ["tcp dport 443 drop", WEB, "accept"],
  ["tcp dport 80-90 drop", WEB, "drop"],
  ["tcp dport { 22, 80 } drop", WEB, "drop"],
  ["udp dport 80 drop", WEB, "accept"],
  ["th dport 80 drop", WEB, "drop"],
  ["tcp dport 80 drop", ECHO, "accept"],
  ["tcp sport 80 drop", REPLY, "drop"],
  ["tcp sport 1024-65535 drop", WEB, "drop"],
  ["tcp dport 1024-65535 drop", REPLY, "drop"],
  ["tcp dport { 5432, 6379 } drop", REPLY, "accept"],
  ["tcp dport 40000-50000 drop", REPLY, "unknown"],
  ["tcp dport 40000 drop", REPLY, "unknown"],
  ["ct state new drop", ECHO, "drop"],
  ["ct state established,related drop", ECHO, "accept"],
  ["ct state established,related drop", REPLY, "drop"],
  ["ct state { new, invalid } drop", ECHO, "drop"],
  ["ct state vmap { established : accept, new : drop }", ECHO, "drop"],
  ["ct state vmap { established : accept, new : drop }", REPLY, "accept"],
  ["tcp dport vmap { 80 : drop, 443 : accept }", WEB, "drop"],
  ["meta mark 0x10 drop", ECHO, "unknown"],
  ["meta mark 0x10 accept", ECHO, "accept"],
  ["limit rate 3/second drop", ECHO, "unknown"],
  ["fib daddr type local drop", ECHO, "unknown"],
  ["fib daddr type local drop", { ...ECHO, isLocal: true }, "drop"],
  ["fib daddr type local drop", { ...ECHO, isLocal: false }, "accept"],
  ["fib daddr . iif type local drop", { ...ECHO, isLocal: true }, "unknown"],
  ["fib saddr type local drop", { ...ECHO, isLocal: true }, "unknown"],
  ["ip daddr @listed drop", ECHO, "drop"],
  ["ip daddr @listed drop", { ...ECHO, to: address("10.9.9.9") }, "accept"],
  ["jump refuse", ECHO, "drop"],
  ["goto refuse", ECHO, "drop"],
  ["jump pass", ECHO, "accept"],
  ["jump pass; drop", ECHO, "drop"],
  ["goto pass; drop", ECHO, "accept"],
  ["meta mark 0x10 jump refuse", ECHO, "unknown"],
  ["meta mark set 0x10; drop", ECHO, "drop"],
];

/** As nft itself prints what it was given. */
function rulesetOf(rules: string, policy = "accept"): Ruleset {
  using netns = new TestNetns("rules");
  const text = `table inet t {
    set listed { type ipv4_addr; flags interval; elements = { 10.20.1.3, 10.30.0.0/16 }; }
    chain refuse { counter; drop; }
    chain pass { ip saddr 10.20.1.2 return; drop; }
    chain forward { type filter hook forward priority 0; policy ${policy}; ${rules}; }
  }`;
  const inside = [`--net=${netns.path}`, "--", "nft"];
  execaSync("nsenter", [...inside, "--file", "-"], { input: text });
  return parseRuleset(execaSync("nsenter", [...inside, "--json", "list", "ruleset"]).stdout);
}

describe("nftables", () => {
  test.each(CASES)("%s", (rules, packet, verdict) => {
    expect(evaluate(rulesetOf(rules), ["forward"], packet)).toMatchObject({ verdict });
  });

  test("a policy decides what no rule does, and is named", () => {
    const outcome = evaluate(rulesetOf("ct state established accept", "drop"), ["forward"], ECHO);
    expect(outcome).toMatchObject({ verdict: "drop", by: { kind: "policy", chain: { name: "forward" } } });
  });

  test("what is dropped in any case is dropped, whatever cannot be decided before", () => {
    const outcome = evaluate(rulesetOf("meta mark 0x10 drop; ip saddr 10.20.1.2 drop"), ["forward"], ECHO);
    expect(outcome).toMatchObject({ verdict: "drop" });
  });

  test("chains of other hooks are not asked", () => {
    expect(evaluate(rulesetOf("drop"), ["input"], ECHO)).toMatchObject({ verdict: "accept", asked: 0 });
  });
});

const SAVED = `# Generated by iptables-save
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:PODS - [0:0]
-A FORWARD -m comment --comment "jump to pods" -j PODS
-A FORWARD -i lo -j ACCEPT
-A PODS -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A PODS -i cali+ ! -s 10.20.1.9/32 -p tcp -m tcp --dport 80:90 -j ACCEPT
-A PODS -d 10.20.1.3/32 -p udp -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable
-A PODS -m set --match-set allowed src -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.20.0.0/16 -o uplink0 -j MASQUERADE
COMMIT
`;

describe("iptables", () => {
  const ruleset: Ruleset = { chains: parseSaved(SAVED, "ip", "iptables-legacy"), sets: new Map() };
  const cases: [string, Packet, "accept" | "drop" | "unknown"][] = [
    ["a TCP port that is accepted", WEB, "accept"],
    ["another port: only a set could accept it, and sets are not known", { ...WEB, port: 91 }, "unknown"],
    ["an excluded source", { ...WEB, from: address("10.20.1.9") }, "unknown"],
    ["what is rejected", { ...ECHO, protocol: "udp", port: 53 }, "drop"],
    ["an answer", REPLY, "accept"],
  ];
  test.each(cases)("%s", (_, packet, verdict) => {
    expect(evaluate(ruleset, ["forward"], packet)).toMatchObject({ verdict });
  });

  test("masquerading is told", () => {
    const out = { ...ECHO, oif: "uplink0", to: address("198.51.100.1") };
    expect(evaluate(ruleset, ["postrouting"], out).translation).toMatchObject({ kind: "masquerade" });
  });
});

function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`Cannot read ${text}`);
  return parsed;
}
