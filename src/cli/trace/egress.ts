// The way out of the host: the interface, its length of packets, and the next hop.
import { type Address, formatAddress } from "../../address.ts";
import { findLink } from "../../datapath/host.ts";
import type { Namespace } from "../../datapath/netns.ts";
import type { Device, Link } from "../../datapath/rtnetlink/link.ts";
import { word } from "../../shell.ts";
import type { Notes } from "./fact.ts";
import type { Decision, Hop } from "./fib.ts";
import type { Flow } from "./flow.ts";
import { findNeighbour, isUnanswered, neighbourWords } from "./neighbours.ts";
import { checkTunnel, isTunnel } from "./tunnel.ts";

const SILENT = "FAILED: it does not answer";

/** Notes what is seen, and returns the longest packet the way takes. */
export function checkEgress(
  notes: Notes,
  host: Namespace,
  decision: Extract<Decision, { kind: "forward" }>,
  { to }: Flow,
  senderMtu: number | undefined,
): number | undefined {
  const { dev, via } = decision;
  const link = findLink(host, dev.name);
  if (link === undefined) return undefined;
  const mtu = Math.min(link.mtu, decision.mtu ?? link.mtu);
  if (!link.carrier) {
    notes.wrong(link.name, `${link.up ? "up" : "down"}, no carrier`, {
      expected: "a carrier",
      why: "the cable is unplugged, or its other end is down",
      mend: link.up ? "see to the cable, or to its other end" : `ip link set ${word(link.name)} up`,
    });
  } else if (senderMtu !== undefined && mtu < senderMtu) {
    notes.warning(link.name, `up, MTU ${mtu}`, {
      expected: `MTU ${senderMtu}, as the sender has`,
      why: `longer packets are answered "fragmentation needed", which firewalls like to swallow`,
    });
  } else {
    notes.ok(link.name, `up, MTU ${mtu}`);
  }
  const hop = via ?? to;
  if (isTunnel(link)) checkTunnel(notes, host, link, hop);
  checkNextHop(notes, host, link, hop);
  for (const other of decision.others) checkOther(notes, host, other, to);
  return mtu;
}

/** A next hop that other packets take: which one is a packet's own is decided by its addresses. */
function checkOther(notes: Notes, host: Namespace, { via, dev }: Hop, to: Address): void {
  const hop = via ?? to;
  const hasCarrier = findLink(host, dev.name)?.carrier ?? false;
  if (hasCarrier && findNeighbour(host, hop, dev)?.state !== "FAILED") return;
  notes.warning(`next hop ${formatAddress(hop)}`, hasCarrier ? SILENT : `${dev.name} has no carrier`, {
    expected: hasCarrier ? "a MAC" : "a carrier",
    why: "the route divides packets among several next hops, and those that this one gets are lost",
    mend: hasCarrier ? ask(hop, dev) : "see to the cable, or to its other end",
  });
}

/** A link-local address is one of an interface. */
function ask(hop: Address, { name }: Device): string {
  const text = formatAddress(hop);
  return `ping -c 1 ${text}${text.startsWith("fe80:") ? `%${word(name)}` : ""}`;
}

function checkNextHop(notes: Notes, host: Namespace, link: Link, hop: Address): void {
  const known = findNeighbour(host, hop, link);
  const subject = `next hop ${formatAddress(hop)}`;
  if (known === undefined) notes.ok(subject, isTunnel(link) ? "by the tunnel" : "not asked for yet");
  else if (known.state === "FAILED") {
    notes.wrong(subject, SILENT, {
      expected: "a MAC",
      why: `nobody on ${link.name} says that the address is theirs: is it up, and on that link?`,
      mend: ask(hop, link),
    });
  } else if (isUnanswered(known)) notes.unknown(subject, `${known.state}: being asked`);
  else notes.ok(subject, neighbourWords(known));
}
