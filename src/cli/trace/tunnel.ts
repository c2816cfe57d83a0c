// A way out that is a tunnel: to which node the packet is carried, and whether that node can be reached.
import { type Address, formatAddress } from "../../address.ts";
import { findLink } from "../../datapath/host.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { decodeForwarding, listForwarding } from "../../datapath/rtnetlink/fdb.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import { lookupRoute } from "../../datapath/rtnetlink/route.ts";
import { word } from "../../shell.ts";
import type { Notes } from "./fact.ts";
import { decide } from "./fib.ts";
import { findNeighbour } from "./neighbours.ts";

/** Kinds of link whose packets travel inside others, and how many bytes that takes over IPv4. */
const OVERHEAD: ReadonlyMap<string, number> = new Map([
  ["ipip", 20],
  ["sit", 20],
  ["gre", 24],
  ["vxlan", 50],
  ["geneve", 50],
  ["wireguard", 60],
]);

export function isTunnel({ kind }: Link): boolean {
  return kind !== undefined && OVERHEAD.has(kind);
}

/** `hop` is the next hop inside the tunnel. Where the tunnel alone knows the other end (WireGuard), it is left at that. */
export function checkTunnel(notes: Notes, host: Namespace, link: Link, hop: Address): void {
  const subject = `tunnel ${link.name}`;
  if (link.kind === "vxlan") {
    checkVxlan(notes, host, link, hop, subject);
  } else if (link.kind === "ipip" || link.kind === "sit" || link.kind === "gre") {
    // What goes into it is carried to the next hop itself.
    checkCarrier(notes, host, link, hop, subject);
  } else {
    notes.unknown(subject, `${link.kind}: to whom it carries the packet cannot be seen from here`);
  }
}

/** The next hop's MAC says which node: neighbour, then forwarding database. */
function checkVxlan(notes: Notes, host: Namespace, link: Link, hop: Address, subject: string): void {
  const mac = findNeighbour(host, hop, link)?.mac;
  if (!mac) {
    notes.unknown(subject, `no MAC for ${formatAddress(hop)} yet`);
    return;
  }
  const entries = host.netlink.dump(listForwarding()).map(decodeForwarding);
  const entry = entries.find((entry) => entry.index === link.index && entry.mac === mac && entry.dst);
  if (entry?.dst) {
    checkCarrier(notes, host, link, entry.dst, subject);
    return;
  }
  notes.wrong(subject, `no node known for ${mac}`, {
    expected: "an entry in its forwarding database",
    why: "the tunnel does not know to which node it should carry the packet",
    mend: `bridge fdb append ${mac} dev ${word(link.name)} dst <node>`,
  });
}

function checkCarrier(notes: Notes, host: Namespace, link: Link, node: Address, subject: string): void {
  const decision = decide(host, lookupRoute(node), { to: node });
  const carried = `${link.kind} to ${formatAddress(node)}`;
  if (decision.kind === "forward") {
    checkRoom(notes, link, findLink(host, decision.dev.name), subject, `${carried} ${decision.words}`);
    return;
  }
  const { by } = { by: undefined, ...decision };
  notes.wrong(subject, `${carried}: ${decision.words}`, {
    expected: "a route to the node",
    why: "the host cannot reach the tunnel's other end",
    mend: by?.remove ?? `ip route add ${formatAddress(node)} via <router>`,
  });
}

/** A full packet of the tunnel's has to fit in one of its carrier's. */
function checkRoom(notes: Notes, link: Link, carrier: Link | undefined, subject: string, seen: string): void {
  const room = carrier && carrier.mtu - (OVERHEAD.get(link.kind ?? "") ?? 0);
  if (carrier === undefined || room === undefined || link.mtu <= room) {
    notes.ok(subject, seen);
    return;
  }
  notes.warning(subject, `${seen}, MTU ${link.mtu}`, {
    expected: `MTU ${room}, as ${carrier.name} has ${carrier.mtu}`,
    why: "what is longer does not fit when it is carried",
    mend: `ip link set ${word(link.name)} mtu ${room}`,
  });
}
