// The host's end of a pod's cable: whether it is there, answers for the gateway, and knows the pod.
import { type Address, formatAddress, sameAddress } from "../../address.ts";
import { GATEWAY, HOST_MAC } from "../../datapath/endpoint.ts";
import { gatewayAnswers } from "../../datapath/gateway.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { decodeAddress, listAddresses } from "../../datapath/rtnetlink/address.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import { lookupForward } from "../../datapath/rtnetlink/route.ts";
import { readSysctl } from "../../datapath/sysctl.ts";
import { word } from "../../shell.ts";
import type { Notes } from "./fact.ts";
import { decide } from "./fib.ts";
import { hostEndUp, neighbourOnHost, pinGateway, setting, WIRE_ANEW } from "./mend.ts";
import { wantedMtu } from "./mtu.ts";
import { findNeighbour, isUnanswered, neighbourWords } from "./neighbours.ts";
import { isGatewayPinned } from "./sandbox.ts";
import type { Inside, Station } from "./station.ts";

/** The link itself: one fact if all is well, else one for each thing that is not. */
export function checkHostEnd(notes: Notes, station: Station): void {
  const { hostEnd, inside, place, pod } = station;
  if (hostEnd === undefined) {
    const why = `the cable to ${place} is gone, and with it the other end`;
    notes.wrong(pod.hostEnd, "missing", { expected: "an interface", why, mend: WIRE_ANEW });
    return;
  }
  const { name, up, mac, mtu } = hostEnd;
  const before = notes.facts.length;
  if (!up) {
    const why = "an interface that is down neither sends nor receives, and has lost its routes";
    notes.wrong(name, "down", { expected: "up", why, mend: hostEndUp(station, hostEnd) });
  }
  if (mac !== HOST_MAC) {
    const why = "the sandbox sends to the MAC it was told; other software on the host has changed it";
    notes.wrong(name, `MAC ${mac}`, {
      expected: `MAC ${HOST_MAC}`,
      why,
      mend: `ip link set ${word(name)} address ${HOST_MAC}`,
    });
  }
  checkMtu(notes, station, hostEnd);
  if (inside && inside.end.peerIndex !== hostEnd.index) {
    notes.wrong(name, `not joined to ${inside.end.name}`, { expected: "its other end", mend: WIRE_ANEW });
  }
  const carrier = hostEnd.carrier ? "" : "no carrier, ";
  if (notes.facts.length === before) notes.ok(name, `up, ${carrier}MTU ${mtu}, ${mac}`);
}

function checkMtu(notes: Notes, station: Station, { name, mtu }: Link): void {
  const wanted = wantedMtu(station);
  if (mtu === wanted) return;
  notes.wrong(name, `MTU ${mtu}`, {
    expected: `MTU ${wanted}, as ${station.pod.mtu === wanted ? "it was made" : "the other end has"}`,
    why: "what is longer than the receiving end's MTU is dropped without a word",
    mend: `ip link set ${word(name)} mtu ${wanted}`,
  });
}

/** Whether the sandbox gets a MAC for its gateway, and why the kernel would give one, or not. */
export function checkGatewayAnswer(notes: Notes, host: Namespace, station: Station): void {
  const { hostEnd, inside, address } = station;
  if (hostEnd === undefined) return;
  const subject = `gateway ${formatAddress(GATEWAY[address.family])}`;
  if (isGatewayPinned(station)) {
    notes.ok(subject, "pinned in the sandbox: it need not ask");
    return;
  }
  if (address.family === 6) {
    checkLinkLocal(notes, host, subject, hostEnd);
    return;
  }
  const verdict = gatewayAnswers({ gateway: GATEWAY[4], from: address }, hostEnd, host);
  const isOn = ["all", hostEnd.name].some(
    (name) => readSysctl(host, `net/ipv4/conf/${name}/proxy_arp`) === "1",
  );
  if (!isOn) {
    notes.wrong("proxy_arp", `0 on ${hostEnd.name}`, {
      expected: "1",
      why: "nobody owns the gateway's address, so nobody answers the sandbox's question for it",
      mend: setting(`net/ipv4/conf/${hostEnd.name}/proxy_arp`, 1),
    });
  } else if (!verdict.answers) {
    const asked = { to: GATEWAY[4], from: address, iif: hostEnd.name };
    const decision = decide(host, lookupForward(asked.to, asked.from, hostEnd), asked);
    // A rule that refuses this pod refuses all it sends: a pinned neighbour would not help.
    const rule = decision.kind === "refused" && decision.by?.kind === "rule" ? decision.by : undefined;
    const mend = rule?.remove ?? (inside && pinGateway(inside, address));
    notes.wrong(subject, `mute: ${rule?.words ?? verdict.reason}`, {
      expected: "answered by proxy ARP, or pinned in the sandbox",
      why: "the kernel answers only for what it routes out of another interface",
      ...(mend ? { mend } : {}),
    });
  } else {
    notes.ok(subject, "answered by proxy ARP");
  }
  checkDelay(notes, host, hostEnd);
}

function checkDelay(notes: Notes, host: Namespace, { name }: Link): void {
  const key = `net/ipv4/neigh/${name}/proxy_delay`;
  const delay = readSysctl(host, key) ?? "0";
  if (delay === "0") return;
  notes.warning("proxy_delay", delay, {
    expected: "0",
    why: `the first answer comes after a random delay of up to ${Number(delay) / 100} s`,
    mend: setting(key, 0),
  });
}

/** In IPv6 the gateway is the host end's own address, which the kernel derives from its MAC. */
function checkLinkLocal(notes: Notes, host: Namespace, subject: string, { name, index }: Link): void {
  const gateway = GATEWAY[6];
  const own = host.netlink
    .dump(listAddresses(6))
    .map(decodeAddress)
    .find((held) => held.index === index && sameAddress(held.prefix.address, gateway));
  if (own && !own.tentative) {
    notes.ok(subject, `answered by ${name}, whose address it is`);
    return;
  }
  notes.wrong(subject, own ? "tentative" : `mute: ${name} does not have it`, {
    expected: `an address of ${name}`,
    why: "nobody answers the sandbox's question for it",
    mend: `ip -6 address replace ${formatAddress(gateway)}/64 dev ${word(name)} nodad`,
  });
}

/** By which MAC the host reaches the pod. */
export function checkPodNeighbour(notes: Notes, host: Namespace, station: Station): void {
  const { hostEnd, inside, address } = station;
  if (hostEnd === undefined || inside === undefined) return;
  const known = findNeighbour(host, address, hostEnd);
  const subject = `neighbour ${formatAddress(address)}`;
  const remark = remarkOn(station, inside, address, hostEnd);
  if (known === undefined) {
    notes.warning(subject, "not pinned: the host has to ask", remark);
    return;
  }
  if (known.mac !== inside.end.mac || isUnanswered(known)) {
    const why = `${inside.end.name} drops what is addressed to another MAC`;
    notes.wrong(subject, neighbourWords(known), { ...remark, why });
    return;
  }
  if (known.permanent) notes.ok(subject, neighbourWords(known));
  else notes.warning(subject, neighbourWords(known), remark);
}

function remarkOn(station: Station, { end }: Inside, address: Address, hostEnd: Link) {
  return { expected: `${end.mac} PERMANENT`, mend: neighbourOnHost(station, address, hostEnd).join(" && ") };
}
