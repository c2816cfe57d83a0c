// The walk: a packet from FROM to TO and its answer back, place by place, from what the kernel says now.
import { type Address, everywhere, type Family, formatAddress } from "../../address.ts";
import { findNamespaces } from "../../datapath/find-namespace.ts";
import type { Namespace } from "../../datapath/netns.ts";
import type { Device } from "../../datapath/rtnetlink/link.ts";
import { lookupRoute } from "../../datapath/rtnetlink/route.ts";
import { type Fact, firstWrong, type Hop, type Joint, Notes, type Place, type Way } from "./fact.ts";
import { decide } from "./fib.ts";
import { isRedirecting } from "./firewall/evaluate.ts";
import { type Flow, type Protocol, reversed } from "./flow.ts";
import { type Crossed, cross, HOST } from "./host.ts";
import { addressOf, commonFamily, describe, type Party } from "./party.ts";
import { arrive, leave } from "./sandbox.ts";
import { type Neighbourhood, Station } from "./station.ts";

export const BEYOND = "beyond";

/** What a trace is of, and what it found. */
export interface Walk {
  readonly from: string;
  readonly to: string;
  readonly flow: Flow;
  /** From top to bottom: FROM's, the host, TO's; only those that the packet visits. */
  readonly places: readonly Place[];
  /** Between each place and the next. */
  readonly joints: readonly Joint[];
  /** In the order in which the packet, and then its answer, meets them. */
  readonly hops: readonly Hop[];
  readonly firstWrong: Fact | undefined;
  /** The longest packet that passes everywhere, as far as can be seen from here. */
  readonly mtu: number | undefined;
  /** The interface by which the host sends the packet on. */
  readonly egress: string | undefined;
}

export interface Question {
  readonly from: Party;
  readonly to: Party;
  readonly protocol: Protocol;
  readonly port: number | undefined;
}

/** A question with everybody found and opened. */
export interface Journey {
  readonly question: Question;
  readonly host: Namespace;
  readonly flow: Flow;
  readonly ends: readonly [from: Neighbourhood, to: Neighbourhood];
}

/** Finds both and opens their sandboxes, which `undo` closes. Throws a UsageError where there is no way to speak of. */
export function prepare(question: Question, host: Namespace, undo: DisposableStack): Journey {
  const family = commonFamily(question.from, question.to);
  const paths = findNamespaces(host);
  const visit = (party: Party): Neighbourhood => {
    const address = addressOf(party, family);
    if (party.kind === "host") return { kind: "host" };
    if (party.kind === "beyond" || address === undefined) return { kind: "beyond" };
    return { kind: "pod", station: undo.use(new Station(party.pod, address, host, paths)) };
  };
  const flow = flowOf(question, family, host);
  return { question, host, flow, ends: [visit(question.from), visit(question.to)] };
}

/** What a probe has shown of who is beyond the host: an answer, which came in, or wanted to, by this interface. */
export interface Answer {
  readonly dev: Device;
}

/** Walks; changes nothing. Without `answer`, one is thought to come in by the interface that the packet leaves by. */
export function walk({ question, host, flow, ends }: Journey, answer?: Answer): Walk {
  const { visited, out, mtu } = hopsOf(ends, flow, host, answer);
  return {
    from: describe(question.from),
    to: describe(question.to),
    flow,
    ...pictureOf(ends, flow, out),
    hops: visited,
    firstWrong: firstWrong(visited),
    mtu,
    egress: out.decision?.kind === "forward" ? out.decision.dev.name : undefined,
  };
}

function flowOf({ from, to, protocol, port }: Question, family: Family, host: Namespace): Flow {
  const [source, target] = [addressOf(from, family), addressOf(to, family)];
  return {
    from: source ?? ownAddress(host, family, target),
    to: target ?? ownAddress(host, family, source),
    protocol,
    port,
    isReply: false,
  };
}

/** With which of its addresses the host talks to the other; the unspecified one where it has no way to. */
function ownAddress(host: Namespace, family: Family, other: Address | undefined): Address {
  const decision = other && decide(host, lookupRoute(other), { to: other });
  const source = decision?.kind === "forward" ? decision.source : undefined;
  return source ?? everywhere(family).address;
}

interface Visited {
  readonly visited: readonly Hop[];
  /** What the host did with the first packet. */
  readonly out: Crossed;
  readonly mtu: number | undefined;
}

function hopsOf([from, to]: Journey["ends"], flow: Flow, host: Namespace, answer?: Answer): Visited {
  const visited: Hop[] = [];
  const visit = (way: Way, { place, facts }: Notes) => visited.push({ place, way, facts });
  const reply = reversed(flow);

  if (from.kind === "pod") visit("there", leave(from.station, flow, true));
  const out = cross({ host, flow, from, to });
  visit("there", out.notes);
  // Where it goes instead, and who answers, is another question.
  if (isRedirecting(out.translation)) return { visited, out, mtu: smallest(mtus(from)) };
  if (to.kind === "pod") {
    visit("there", arrive(to.station, flow, true));
    visit("back", leave(to.station, reply, false));
  }
  if (to.kind === "beyond") visit("there", beyond(flow, out, answer));

  const dev = answer?.dev ?? (out.decision?.kind === "forward" ? out.decision.dev : undefined);
  const origin = to.kind === "beyond" ? { ...to, dev } : to;
  if (origin.kind !== "beyond" || dev)
    visit("back", cross({ host, flow: reply, from: origin, to: from }).notes);
  if (from.kind === "pod") visit("back", arrive(from.station, reply, false));
  return { visited, out, mtu: smallest([...mtus(from), ...mtus(to), out.mtu]) };
}

/** What lies behind the next hop cannot be looked into. */
function beyond({ from, to }: Flow, { translation, decision }: Crossed, answer?: Answer): Notes {
  const notes = new Notes(BEYOND);
  if (decision?.kind !== "forward") return notes;
  const doubt = `whether ${formatAddress(to)} has a route to ${formatAddress(from)} cannot be seen from here`;
  if (answer) notes.ok("way back", `the probe's answer comes by ${answer.dev.name}`);
  else if (translation?.isCertain) notes.ok("way back", `to the host's own address (${translation.kind})`);
  else notes.unknown("way back", doubt);
  return notes;
}

function mtus(end: Neighbourhood): (number | undefined)[] {
  return end.kind === "pod" ? [end.station.hostEnd?.mtu, end.station.inside?.end.mtu] : [];
}

function smallest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function pictureOf([from, to]: Journey["ends"], flow: Flow, { decision }: Crossed) {
  const dev = decision?.kind === "forward" ? decision.dev.name : "";
  const host: Place = { name: HOST, title: "host", detail: hostDetail(from, to, flow) };
  const sandboxes = [from, to].map((end, at) =>
    end.kind === "pod" ? sandboxPlace(end.station, at === 0 ? flow.from : flow.to) : undefined,
  );
  const outside: Place = { name: BEYOND, title: "beyond the host", detail: formatAddress(flow.to) };
  const last = to.kind === "beyond" ? outside : sandboxes[1];
  const hop = decision?.kind === "forward" ? (decision.via ?? flow.to) : flow.to;
  const joints: (Joint | undefined)[] = [
    from.kind === "pod" ? { upper: endName(from.station), lower: from.station.pod.hostEnd } : undefined,
    to.kind === "pod" ? { upper: to.station.pod.hostEnd, lower: endName(to.station) } : undefined,
    to.kind === "beyond" ? { upper: dev, lower: formatAddress(hop) } : undefined,
  ];
  return {
    places: [sandboxes[0], host, last].filter((place) => place !== undefined),
    joints: joints.filter((joint) => joint !== undefined),
  };
}

function hostDetail(from: Neighbourhood, to: Neighbourhood, flow: Flow): string {
  if (from.kind === "host") return formatAddress(flow.from);
  return to.kind === "host" ? formatAddress(flow.to) : "";
}

function sandboxPlace({ place, inside }: Station, address: Address): Place {
  const path = inside ? ` · ${inside.path}` : "";
  return { name: place, title: place, detail: formatAddress(address) + path };
}

function endName({ inside, pod }: Station): string {
  return inside?.end.name ?? pod.attachment?.ifName ?? "";
}
