// Whether anybody listens at the port that was asked for.
import { type Address, addressBytes, formatAddress } from "../../address.ts";
import type { Namespace } from "../../datapath/netns.ts";
import { readText } from "../../files.ts";
import type { Notes } from "./fact.ts";
import type { Flow } from "./flow.ts";

// include/net/tcp_states.h: a bound UDP socket is in the state that TCP calls closed.
const LISTENING: Readonly<Record<string, string>> = { tcp: "0A", udp: "07" };

/** Only with a port; nobody there is wrong, though no command mends it. */
export function checkListener(notes: Notes, namespace: Namespace, { protocol, port, to }: Flow): void {
  if (protocol === "icmp" || port === undefined) return;
  const subject = `${protocol} port ${port}`;
  const isHeld = namespace.inside<boolean>(() => isListening(protocol, port, to));
  if (isHeld) {
    notes.ok(subject, "somebody listens");
    return;
  }
  notes.wrong(subject, "nobody listens", {
    expected: `a program that listens at ${formatAddress(to)} or all addresses`,
    why: "the network delivers the packet, and the kernel refuses it",
    mend: `start the program; ss --listening --numeric --${protocol} shows in the sandbox who listens`,
  });
}

/** proc_pid_net(5): an address as the kernel's own 32-bit words in hexadecimal, "0302140A:0050", then the state. */
function isListening(protocol: string, port: number, to: Address): boolean {
  const files = to.family === 4 ? [protocol, `${protocol}6`] : [`${protocol}6`];
  const wanted = new Set([inWords(addressBytes(to)), "0".repeat(8), "0".repeat(32)]);
  return files.flatMap(lines).some((line) => {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", hex = ""] = local.split(":");
    return state === LISTENING[protocol] && Number.parseInt(hex, 16) === port && wanted.has(address);
  });
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
