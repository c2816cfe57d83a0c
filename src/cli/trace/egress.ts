// The way out of the host: the interface, its length of packets, and the next hop.
import { type Address, formatAddress } from "../../address.ts";
import { findLink } from "../../datapath/host.ts";
import type { Namespace } from "../../datapath/netns.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import { word } from "../../shell.ts";
import type { Notes } from "./fact.ts";
import type { Decision } from "./fib.ts";
import type { Flow } from "./flow.ts";
import { findNeighbour, isUnanswered, neighbourWords } from "./neighbours.ts";
import { checkTunnel, isTunnel } from "./tunnel.ts";

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
  return mtu;
}

function checkNextHop(notes: Notes, host: Namespace, link: Link, hop: Address): void {
  const known = findNeighbour(host, hop, link);
  const subject = `next hop ${formatAddress(hop)}`;
  if (known === undefined) notes.ok(subject, isTunnel(link) ? "by the tunnel" : "not asked for yet");
  else if (known.state === "FAILED") {
    notes.wrong(subject, "FAILED: it does not answer", {
      expected: "a MAC",
      why: `nobody on ${link.name} says that the address is theirs: is it up, and on that link?`,
      mend: `ping -c 1 ${formatAddress(hop)}`,
    });
  } else if (isUnanswered(known)) notes.unknown(subject, `${known.state}: being asked`);
  else notes.ok(subject, neighbourWords(known));
}
