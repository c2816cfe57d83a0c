// What the host asks of a packet that comes in, before it routes it.
import { formatAddress } from "../../address.ts";
import type { Namespace } from "../../datapath/netns.ts";
import type { Device } from "../../datapath/rtnetlink/link.ts";
import { lookupRoute } from "../../datapath/rtnetlink/route.ts";
import { readSysctl } from "../../datapath/sysctl.ts";
import type { Notes } from "./fact.ts";
import { type Decision, decide } from "./fib.ts";
import type { Flow } from "./flow.ts";
import { routeToPod, setting } from "./mend.ts";
import type { Neighbourhood } from "./station.ts";

/** Whether the host forwards what comes in by this interface; IPv6 has one switch for all. */
export function checkForwarding(notes: Notes, host: Namespace, { to }: Flow, { name }: Device): void {
  const [own, all] =
    to.family === 4
      ? [`net/ipv4/conf/${name}/forwarding`, "net/ipv4/ip_forward"]
      : ["net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/forwarding"];
  if (readSysctl(host, own) !== "0") {
    notes.ok("forwarding", to.family === 4 ? `on for ${name}` : "on");
    return;
  }
  // One write switches all interfaces; where only this one is off, only this one is switched.
  const key = readSysctl(host, all) === "0" ? all : own;
  notes.wrong(key.split("/").at(-1) ?? key, key === all ? "0" : `0 on ${name}`, {
    expected: "1",
    why: `the host passes on nothing that comes in by ${name}, and answers for no gateway there`,
    mend: setting(key, 1),
  });
}

interface Entry {
  readonly flow: Flow;
  readonly iif: Device;
  readonly decision: Decision;
  readonly from: Neighbourhood;
}

const RP_FILTER = ["off", "strict", "loose"] as const;

/** The source check, which IPv6 does not have: the kernel made it when it was asked for its decision. */
export function checkSource(notes: Notes, host: Namespace, { flow, iif, decision, from }: Entry): void {
  if (flow.from.family === 6) return;
  const { mode, isRefused } = sourceCheck(host, flow, iif, decision);
  if (!isRefused) {
    notes.ok("rp_filter", mode === "off" ? mode : `${mode}: passes`);
    return;
  }
  const source = formatAddress(flow.from);
  notes.wrong("rp_filter", `${mode}: drops ${source}`, {
    expected: `a route to ${source} by ${iif.name}`,
    why: `the host would answer ${source} by another interface, and takes the sender for forged`,
    mend:
      from.kind === "pod" ? routeToPod(flow.from, iif) : setting(`net/ipv4/conf/${iif.name}/rp_filter`, 2),
  });
}

export interface SourceCheck {
  readonly mode: (typeof RP_FILTER)[number];
  readonly isRefused: boolean;
}

/**
 * Whether it was the source that a decision was refused for. EXDEV says so; kernels since 6.14 say EINVAL, as they do for a
 * blackhole: there the way back decides, for a packet may meet both.
 */
export function sourceCheck(namespace: Namespace, flow: Flow, iif: Device, decision: Decision): SourceCheck {
  const values = ["all", iif.name].map((name) => readSysctl(namespace, `net/ipv4/conf/${name}/rp_filter`));
  const mode = RP_FILTER[Math.max(...values.map(Number))] ?? "off";
  if (decision.kind !== "refused" || flow.from.family === 6) return { mode, isRefused: false };
  if (decision.code === "EXDEV") return { mode, isRefused: true };
  if (decision.code !== "EINVAL" || mode === "off") return { mode, isRefused: false };
  const back = decide(namespace, lookupRoute(flow.from), { to: flow.from });
  const isElsewhere = back.kind !== "forward" || back.dev.index !== iif.index;
  return { mode, isRefused: mode === "strict" ? isElsewhere : back.kind !== "forward" };
}
