// Whether anybody listens at the port that was asked for.
import { type Address, addressBytes, formatAddress } from "../../address.ts";
import { concat } from "../../bytes.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { readText } from "../../files.ts";
import type { Notes } from "./fact.ts";
import type { Flow } from "./flow.ts";
import { takesIpv4 } from "./socket-diag.ts";

// include/net/tcp_states.h: a bound UDP socket is in the state that TCP calls closed.
const LISTENING: Readonly<Record<string, string>> = { tcp: "0A", udp: "07" };

/** Only with a port; nobody there is wrong, though no command mends it. */
export function checkListener(notes: Notes, namespace: Namespace, { protocol, port, to }: Flow): void {
  if (protocol === "icmp" || port === undefined) return;
  const subject = `${protocol} port ${port}`;
  const isHeld = namespace.inside<boolean | undefined>(() => isListening(protocol, port, to));
  if (isHeld) {
    notes.ok(subject, "somebody listens");
    return;
  }
  if (isHeld === undefined) {
    notes.unknown(subject, "cannot tell: somebody listens at [::], perhaps for IPv6 alone");
    return;
  }
  notes.wrong(subject, "nobody listens", {
    expected: `a program that listens at ${formatAddress(to)} or all addresses`,
    why: "the network delivers the packet, and the kernel refuses it",
    mend: `start the program; ss --listening --numeric --${protocol} shows in the sandbox who listens`,
  });
}

/** Of a socket at "::", which may be for IPv6 alone (IPV6_V6ONLY), only the kernel can tell, or not at all. */
function isListening(protocol: "tcp" | "udp", port: number, to: Address): boolean | undefined {
  const held = heldAddresses(protocol, port);
  const [own, all, all6] = [addressBytes(to), new Uint8Array(4), new Uint8Array(16)];
  const wanted = to.family === 6 ? [own, all6] : [own, all, mapped(own), mapped(all)];
  if (wanted.some((bytes) => held.has(inWords(bytes)))) return true;
  return to.family === 4 && held.has(inWords(all6)) ? takesIpv4(protocol, port) : false;
}

/** An IPv6 socket that is bound to an IPv4 address, as those of Java are: ::ffff:10.20.1.3. */
function mapped(bytes: Uint8Array): Uint8Array {
  return concat([new Uint8Array(10), Uint8Array.of(0xff, 0xff), bytes]);
}

/** proc_pid_net(5): an address as the kernel's own 32-bit words in hexadecimal, "0302140A:0050", then the state. */
function heldAddresses(protocol: "tcp" | "udp", port: number): Set<string> {
  const held = [protocol, `${protocol}6`].flatMap(lines).flatMap((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", hex = ""] = local.split(":");
    return state === LISTENING[protocol] && Number.parseInt(hex, 16) === port ? [address] : [];
  });
  return new Set(held);
}

/** /proc/net would be the main thread's namespace. */
function lines(file: string): string[] {
  try {
    return readText(`/proc/thread-self/net/${file}`).split("\n").slice(1);
  } catch {
    return []; // a kernel without IPv6
  }
}

function inWords(bytes: Uint8Array): string {
  const words = Array.from({ length: bytes.length / 4 }, (_, at) =>
    bytes.slice(4 * at, 4 * at + 4).reverse(),
  );
  return words.map((word) => word.toHex().toUpperCase()).join("");
}
