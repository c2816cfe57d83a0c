// The firewall's verdict on a packet, with the rule that decides and how to let the packet pass.
import { isOwnAddress } from "../../../datapath/host.ts";
import type { Namespace } from "../../../datapath/netns.ts";
import { onSide } from "../../../datapath/step.ts";
import { word } from "../../../shell.ts";
import type { Notes } from "../fact.ts";
import { type Evidence, evaluate, isRedirecting, type Translation } from "./evaluate.ts";
import type { Packet } from "./match.ts";
import { readRuleset, ruleText } from "./ruleset.ts";

/** Where the firewall is: on the host, or behind the `path` of a sandbox. */
interface Site {
  readonly namespace: Namespace;
  readonly path?: string;
}

/** Notes the verdict of all chains at these hooks. Returns what becomes of the packet's addresses, if anything does. */
export function checkFirewall(
  notes: Notes,
  site: Site,
  hooks: readonly string[],
  packet: Packet,
): Translation | undefined {
  const { namespace, path } = site;
  const reading = readRuleset(namespace);
  if (reading.kind === "unreadable") {
    // A sandbox has rules of its own but rarely: of the host it is said.
    if (path === undefined) notes.unknown("firewall", `cannot tell: ${reading.reason}`);
    return undefined;
  }
  const isLocal = isOwnAddress(namespace, packet.to);
  const outcome = evaluate(reading.ruleset, hooks, { ...packet, isLocal });
  const { verdict, by, translation } = outcome;
  if (outcome.asked === 0) {
    if (path === undefined) notes.ok("firewall", "no rules");
  } else if (isRedirecting(translation) && verdict !== "drop") {
    const goes = translation.isCertain ? "goes" : "may go";
    const whither = "trace the address that it is given";
    notes.unknown(
      "firewall",
      `${goes} elsewhere by ${describe(namespace, translation.evidence)}; ${whither}`,
    );
  } else if (by === undefined) {
    notes.ok("firewall", translation?.isCertain ? `accepts, ${translation.kind}` : "accepts");
  } else if (verdict === "unknown") {
    notes.unknown("firewall", `cannot tell: ${describe(namespace, by)}`);
  } else {
    notes.wrong("firewall", `drops: ${describe(namespace, by)}`, {
      expected: "accepts",
      why: by.kind === "policy" ? "no rule accepts the packet" : "this rule keeps the packet from going on",
      mend: onSite(site, mendOf(by, packet)),
    });
  }
  return translation;
}

function describe(namespace: Namespace, by: Evidence): string {
  const { family, table, name, tool } = by.chain;
  const where = `${tool ?? family} ${table} ${name}`;
  return by.kind === "policy" ? `policy of ${where}` : `${where}: ${ruleText(namespace, by.rule)}`;
}

function mendOf(by: Evidence, packet: Packet): string {
  const { family, table, name, tool } = by.chain;
  if (tool !== undefined) return iptablesMend(tool, by, packet);
  const chain = [family, table, name].map(word).join(" ");
  if (by.kind === "rule") return `nft delete rule ${chain} handle ${by.rule.handle}`;
  const pods = podEnds(packet).map(
    ([key, pattern]) => `insert rule ${chain} ${key}name ${pattern("*")} accept`,
  );
  return `nft ${word(pods.join("; "))}`;
}

function iptablesMend(tool: string, by: Evidence, packet: Packet): string {
  const { table, name } = by.chain;
  if (by.kind === "rule") {
    const [first] = by.rule.expr;
    return `${tool} -t ${table} ${String(first?.text).replace(/^-A/, "-D")}`;
  }
  const pods = podEnds(packet).map(
    ([key, pattern]) => `${tool} -t ${table} -I ${name} -${key[0]} ${pattern("+")} -j ACCEPT`,
  );
  return pods.join(" && ");
}

/** Pods pass both ways: by the beginning that the names of host ends share. */
function podEnds({ iif, oif }: Packet): (readonly ["iif" | "oif", (wildcard: string) => string])[] {
  const isHostEnd = (name = "") => /[0-9a-f]{11}$/.test(name);
  const named = [iif, oif].find(isHostEnd) ?? iif ?? oif ?? "";
  const pattern = (wildcard: string) => {
    const whole = isHostEnd(named) ? `${named.slice(0, -11)}${wildcard}` : named;
    return wildcard === "*" ? `"${whole}"` : whole;
  };
  const keys = (["iif", "oif"] as const).filter((key) => (key === "iif" ? iif : oif) !== undefined);
  return keys.map((key) => [key, pattern] as const);
}

function onSite({ path }: Site, command: string): string {
  return path === undefined ? command : onSide("sandbox", path, command);
}
