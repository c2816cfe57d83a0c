// A packet crosses the host, begins there, or ends there.
import { formatAddress } from "../../address.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { ipCommand } from "../../datapath/rtnetlink/family.ts";
import type { Device } from "../../datapath/rtnetlink/link.ts";
import { lookupForward, lookupRoute } from "../../datapath/rtnetlink/route.ts";
import { checkEgress } from "./egress.ts";
import { Notes } from "./fact.ts";
import { type Decision, decide } from "./fib.ts";
import { checkFirewall } from "./firewall/check.ts";
import { isRedirecting, type Translation } from "./firewall/evaluate.ts";
import type { Flow } from "./flow.ts";
import { checkGatewayAnswer, checkHostEnd, checkPodNeighbour } from "./host-end.ts";
import { checkForwarding, checkSource } from "./ingress.ts";
import { checkListener } from "./listener.ts";
import { routeToPod } from "./mend.ts";
import { isGatewayPinned } from "./sandbox.ts";
import type { Neighbourhood, Station } from "./station.ts";

export const HOST = "host";

export interface Crossing {
  readonly host: Namespace;
  readonly flow: Flow;
  readonly from: Neighbourhood;
  readonly to: Neighbourhood;
}

export interface Crossed {
  readonly notes: Notes;
  /** Absent where the packet that was asked for is not routed, or another in its place. */
  readonly decision: Decision | undefined;
  readonly translation: Translation | undefined;
  /** The longest packet that the way out takes, where that is known. */
  readonly mtu: number | undefined;
}

/** In the order of the kernel, but that causes come before what follows from them. */
export function cross({ host, flow, from, to }: Crossing): Crossed {
  const notes = new Notes(HOST);
  const nothing = { notes, decision: undefined, translation: undefined, mtu: undefined };
  if (from.kind === "pod" && !flow.isReply) checkHostEnd(notes, from.station);
  const iif = arrival(from);
  if (iif === undefined && from.kind !== "host") return nothing;
  const isFirewalledOnly = to.kind === "host" && !(from.kind === "pod" && asks(from.station));
  if (iif && !isFirewalledOnly) checkForwarding(notes, host, flow, iif);

  // Without a way out the host has no address to send from.
  const source = flow.from.value === 0n ? undefined : flow.from;
  const question = iif ? lookupForward(flow.to, flow.from, iif) : lookupRoute(flow.to, source);
  const decision = decide(host, question, { ...flow, iif: iif?.name });
  if (iif) checkSource(notes, host, { flow, iif, decision, from });
  if (from.kind === "pod" && from.station.hostEnd) checkGatewayAnswer(notes, host, from.station);

  const filtered = new Notes(HOST);
  const oif = decision.kind === "forward" ? decision.dev.name : undefined;
  const packet = { ...flow, iif: iif?.name, oif };
  const translation = checkFirewall(filtered, { namespace: host }, hooks(from, to), packet);
  // It is redirected before it is routed, and what follows concerns another packet; but what the host sends is not.
  if (isRedirecting(translation) && (iif || decision.kind !== "refused")) {
    notes.facts.push(...filtered.facts);
    return { ...nothing, translation };
  }
  if (to.kind === "pod" && !flow.isReply) checkHostEnd(notes, to.station);
  checkRoute(notes, decision, flow, to);
  notes.facts.push(...filtered.facts);
  if (to.kind === "pod") checkPodNeighbour(notes, host, to.station);
  if (to.kind === "host" && !flow.isReply) checkListener(notes, host, flow);
  const isOut = to.kind === "beyond" && decision.kind === "forward";
  const mtu = isOut ? checkEgress(notes, host, decision, flow, senderMtu(from)) : undefined;
  return { notes, decision, translation, mtu };
}

/** A sandbox that has not pinned the gateway asks for it. */
function asks(station: Station): boolean {
  return station.address.family === 4 && !isGatewayPinned(station);
}

function arrival(from: Neighbourhood): Device | undefined {
  if (from.kind === "pod") return from.station.hostEnd;
  return from.kind === "beyond" ? from.dev : undefined;
}

function senderMtu(from: Neighbourhood): number | undefined {
  return from.kind === "pod" ? from.station.inside?.end.mtu : undefined;
}

function hooks(from: Neighbourhood, to: Neighbourhood): string[] {
  if (from.kind === "host") return ["output", "postrouting"];
  return to.kind === "host" ? ["prerouting", "input"] : ["prerouting", "forward", "postrouting"];
}

function checkRoute(notes: Notes, decision: Decision, { to }: Flow, target: Neighbourhood): void {
  const subject = `route to ${formatAddress(to)}`;
  if (target.kind === "pod") {
    checkRouteToPod(notes, subject, decision, target.station);
    return;
  }
  const isRight = decision.kind === (target.kind === "host" ? "local" : "forward");
  if (isRight) {
    notes.ok(subject, decision.words);
    return;
  }
  const by = decision.kind === "refused" ? decision.by : undefined;
  notes.wrong(subject, decision.words, {
    expected: target.kind === "host" ? "the host's own address" : "a way out",
    why: by ? `the ${by.kind} discards what it matches` : "the host has no way there",
    mend: by?.remove ?? `${ipCommand(to.family)} route add default via <router>`,
  });
}

function checkRouteToPod(notes: Notes, subject: string, decision: Decision, station: Station): void {
  const { hostEnd, address, place } = station;
  if (hostEnd === undefined) return; // said already
  if (decision.kind === "forward" && decision.dev.index === hostEnd.index) {
    notes.ok(subject, decision.words);
    return;
  }
  const rule = decision.kind === "refused" && decision.by?.kind === "rule" ? decision.by : undefined;
  notes.wrong(subject, decision.words, {
    expected: `dev ${hostEnd.name}`,
    why: `only ${hostEnd.name} leads to ${place}`,
    mend:
      rule?.remove ?? routeToPod(address, hostEnd, decision.kind === "forward" ? decision.table : undefined),
  });
}
