// A packet leaves a sandbox, or arrives in one.
import { type Address, formatAddress, formatPrefix, sameAddress } from "../../address.ts";
import { GATEWAY, HOST_MAC } from "../../datapath/endpoint.ts";
import { decodeAddress, listAddresses } from "../../datapath/rtnetlink/address.ts";
import { lookupForward, lookupRoute } from "../../datapath/rtnetlink/route.ts";
import { Notes } from "./fact.ts";
import { decide } from "./fib.ts";
import { checkFirewall } from "./firewall/check.ts";
import { isRedirecting } from "./firewall/evaluate.ts";
import type { Flow } from "./flow.ts";
import { sourceCheck } from "./ingress.ts";
import { checkListener } from "./listener.ts";
import { inSandbox, ownAddress, pinGateway, sandboxEndUp, setting, wayOut } from "./mend.ts";
import { wantedMtu } from "./mtu.ts";
import { findNeighbour, isUnanswered, neighbourWords } from "./neighbours.ts";
import type { Inside, Station } from "./station.ts";

/** Out of the sandbox: by which route, and to whom on the cable. `isFirst`: what is there is told as well. */
export function leave(station: Station, flow: Flow, isFirst: boolean): Notes {
  const notes = new Notes(station.place);
  const { inside } = station;
  if (inside === undefined) return unseen(notes, station);
  if (isFirst) checkEnd(notes, station, inside);
  const packet = { ...flow, oif: inside.end.name };
  const translation = checkFirewall(notes, inside, ["output", "postrouting"], packet);
  if (!isRedirecting(translation)) checkWayOut(notes, inside, flow);
  checkGateway(notes, inside, flow.from);
  return notes;
}

/** Into the sandbox, as far as the address, and the port if one was asked for. */
export function arrive(station: Station, flow: Flow, isFirst: boolean): Notes {
  const notes = new Notes(station.place);
  const { inside } = station;
  if (inside === undefined) return unseen(notes, station);
  if (isFirst) checkEnd(notes, station, inside);
  checkDelivery(notes, inside, flow);
  const packet = { ...flow, iif: inside.end.name };
  const translation = checkFirewall(notes, inside, ["prerouting", "input"], packet);
  if (!flow.isReply && !isRedirecting(translation)) checkListener(notes, inside.namespace, flow);
  return notes;
}

/** Whether the sandbox need ask nobody for the gateway. */
export function isGatewayPinned({ inside, address }: Station): boolean {
  if (inside === undefined) return false;
  const known = findNeighbour(inside.namespace, GATEWAY[address.family], inside.end);
  return known?.permanent === true && known.mac === HOST_MAC;
}

function unseen(notes: Notes, { obstacle }: Station): Notes {
  notes.unknown("sandbox", `cannot be looked into: ${obstacle}`);
  return notes;
}

function checkEnd(notes: Notes, station: Station, inside: Inside): void {
  const { end, namespace } = inside;
  const words = `${end.carrier || !end.up ? "" : "no carrier, "}MTU ${end.mtu}, ${end.mac}`;
  const wanted = wantedMtu(station);
  if (!end.up) {
    const why = "an interface that is down neither sends nor receives";
    notes.wrong(end.name, "down", { expected: "up", why, mend: sandboxEndUp(station) });
  } else if (end.mtu !== wanted) {
    notes.wrong(end.name, `up, ${words}`, {
      expected: `MTU ${wanted}, as ${station.pod.hostEnd} ${station.pod.mtu === wanted ? "was made" : "has"}`,
      why: "what is longer than the receiving end's MTU is dropped without a word",
      mend: inSandbox(inside, `ip link set ${end.name} mtu ${wanted}`),
    });
  } else {
    notes.ok(end.name, `up, ${words}`);
  }
  const held = namespace.netlink.dump(listAddresses(station.address.family)).map(decodeAddress);
  const own = held.find(({ prefix }) => sameAddress(prefix.address, station.address));
  if (own) notes.ok("address", formatPrefix(own.prefix));
  else checkMissing(notes, inside, station.address);
}

function checkMissing(notes: Notes, inside: Inside, address: Address): void {
  notes.wrong("address", "missing", {
    expected: formatAddress(address),
    why: "the sandbox neither sends from it nor takes what comes for it",
    mend: inSandbox(inside, ...ownAddress(inside, address), ...wayOut(inside, address)),
  });
}

function checkWayOut(notes: Notes, inside: Inside, { from, to }: Flow): void {
  const gateway = GATEWAY[from.family];
  const subject = `route to ${formatAddress(to)}`;
  const decision = decide(inside.namespace, lookupRoute(to, from), { to, from });
  const isOurs =
    decision.kind === "forward" &&
    decision.dev.index === inside.end.index &&
    decision.via !== undefined &&
    sameAddress(decision.via, gateway);
  if (isOurs) {
    notes.ok(subject, decision.words);
    return;
  }
  const by = decision.kind === "refused" ? decision.by : undefined;
  const isNone = decision.kind === "refused" && by === undefined;
  const ownWay = [...wayOut(inside, from).slice(0, -1), ownRoute(inside, to)];
  const remedy = by?.kind === "rule" ? [by.remove] : isNone ? wayOut(inside, from) : ownWay;
  notes.wrong(subject, decision.words, {
    expected: `via ${formatAddress(gateway)} dev ${inside.end.name}`,
    why: "everything leaves through the gateway, and the host routes it from there",
    mend: inSandbox(inside, ...remedy),
  });
}

/** More particular than whatever stands in the way. */
function ownRoute({ end }: Inside, to: Address): string {
  const ip = to.family === 6 ? "ip -6" : "ip";
  return `${ip} route replace ${formatAddress(to)} via ${formatAddress(GATEWAY[to.family])} dev ${end.name}`;
}

function checkGateway(notes: Notes, inside: Inside, { family }: Address): void {
  const gateway = formatAddress(GATEWAY[family]);
  const known = findNeighbour(inside.namespace, GATEWAY[family], inside.end);
  const subject = `gateway ${gateway}`;
  if (known === undefined) {
    notes.ok(subject, "not asked for yet");
    return;
  }
  if (known.mac === HOST_MAC && !isUnanswered(known)) {
    notes.ok(subject, neighbourWords(known));
    return;
  }
  // Whether it would be answered now is for the host to say.
  if (isUnanswered(known)) {
    notes.unknown(subject, `${known.state}: the last question was not answered`);
    return;
  }
  notes.wrong(subject, neighbourWords(known), {
    expected: `${HOST_MAC}, the host end's MAC`,
    why: "the host drops what is addressed to another MAC",
    mend: known.permanent
      ? pinGateway(inside, GATEWAY[family])
      : inSandbox(inside, `ip neigh delete ${gateway} dev ${inside.end.name}`),
  });
}

function checkDelivery(notes: Notes, inside: Inside, flow: Flow): void {
  const { from, to } = flow;
  const { end, namespace } = inside;
  const decision = decide(namespace, lookupForward(to, from, end), { to, from, iif: end.name });
  const subject = `from ${formatAddress(from)}`;
  if (decision.kind === "local") {
    notes.ok(subject, "taken in");
    return;
  }
  if (sourceCheck(namespace, flow, end, decision).isRefused) {
    notes.wrong(subject, "dropped by the source check (rp_filter)", {
      expected: "accepted",
      why: `the sandbox's own route to ${formatAddress(from)} is not by ${end.name}`,
      mend: inSandbox(inside, setting(`net/ipv4/conf/${end.name}/rp_filter`, 2)),
    });
    return;
  }
  notes.wrong(subject, `not for ${end.name}: ${decision.words}`, {
    expected: "taken in",
    why: `the sandbox does not know ${formatAddress(to)} as its own`,
    mend: inSandbox(inside, ...ownAddress(inside, to), ...wayOut(inside, to)),
  });
}
