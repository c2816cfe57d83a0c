// Sockets of the probe: one that sends, and in each namespace one that sees every frame, whichever interface it takes.
import { type Address, addressBytes } from "../../../address.ts";
import { linkName } from "../../../datapath/host.ts";
import { viewOf } from "../../../datapath/netlink/attribute.ts";
import type { Namespace } from "../../../datapath/netns.ts";
import { familyNumber } from "../../../datapath/rtnetlink/family.ts";
import { closeFile } from "../../../files.ts";
import {
  bind,
  pollReadable,
  receiveFrom,
  SystemError,
  sendTo,
  setSocketOption,
  socket,
} from "../../../libc.ts";
import type { Flow } from "../flow.ts";
import { protocolNumber } from "./packet.ts";

const AF_PACKET = 17;
const SOCK_DGRAM = 2; // frames without their Ethernet header
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL_BIG_ENDIAN = 0x0300;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const MSG_DONTWAIT = 0x40;
const PACKET_OUTGOING = 4; // include/uapi/linux/if_packet.h
/** For a host that has other traffic: what waits until it is read. */
const BUFFER_BYTES = 8 << 20;
/** The probe and what an error quotes of it are shorter. */
const SNAP_BYTES = 256;

/** A frame that came by. */
export interface Frame {
  readonly dev: string;
  readonly direction: "in" | "out";
  /** ETH_P_*. */
  readonly ethertype: number;
  /** From the IP or ARP header on. */
  readonly bytes: Uint8Array;
}

/** Sees all frames of a namespace from the moment it is opened. The opener disposes of it. */
export class Capture implements Disposable {
  readonly namespace: Namespace;
  readonly fd: number;
  readonly #names = new Map<number, string>();

  constructor(namespace: Namespace) {
    this.namespace = namespace;
    const type = SOCK_DGRAM | SOCK_CLOEXEC;
    this.fd = namespace.inside<number>(() => socket(AF_PACKET, type, ETH_P_ALL_BIG_ENDIAN));
    setSocketOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
  }

  /** What has come by since the last call, as far as it is read until then (`performance.now()`). */
  *frames(until: number): Generator<Frame> {
    // `struct sockaddr_ll`: family, protocol (big-endian), index (s32), hatype, pkttype (u8), …
    const from = new Uint8Array(20);
    const view = viewOf(from);
    while (performance.now() < until) {
      const bytes = new Uint8Array(SNAP_BYTES);
      const length = received(this.fd, bytes, from);
      if (length === undefined) return;
      yield {
        dev: this.#name(view.getInt32(4, true)),
        direction: view.getUint8(10) === PACKET_OUTGOING ? "out" : "in",
        ethertype: view.getUint16(2),
        bytes: bytes.subarray(0, length),
      };
    }
  }

  #name(index: number): string {
    const known = this.#names.get(index) ?? linkName(this.namespace, index);
    this.#names.set(index, known);
    return known;
  }

  [Symbol.dispose](): void {
    closeFile(this.fd);
  }
}

/** Waits until one of them has something to read, or the time is over. */
export function waitFor(captures: readonly Capture[], timeoutMs: number): void {
  pollReadable(
    captures.map(({ fd }) => fd),
    Math.max(0, Math.ceil(timeoutMs)),
  );
}

/** Sends what follows the IP header. Throws a SystemError where routing or a firewall refuses. */
export function sendFrom(namespace: Namespace, flow: Flow, bytes: Uint8Array): void {
  const { from, to } = flow;
  const type = SOCK_RAW | SOCK_CLOEXEC;
  const fd = namespace.inside<number>(() => socket(familyNumber(from.family), type, protocolNumber(flow)));
  try {
    bind(fd, sockaddr(from));
    sendTo(fd, bytes, sockaddr(to));
  } finally {
    closeFile(fd);
  }
}

function received(fd: number, bytes: Uint8Array, from: Uint8Array): number | undefined {
  try {
    return receiveFrom(fd, bytes, from, MSG_DONTWAIT);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EAGAIN") return undefined;
    throw error;
  }
}

/** `struct sockaddr_in` and `sockaddr_in6`, without a port. */
function sockaddr(address: Address): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? 16 : 28);
  viewOf(bytes).setUint16(0, familyNumber(address.family), true);
  bytes.set(addressBytes(address), address.family === 4 ? 4 : 8);
  return bytes;
}
