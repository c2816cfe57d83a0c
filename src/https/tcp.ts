// TCP by addresses: a blocking socket that waits no longer than it is told.
import { type Address, addressBytes, formatAddress } from "../address.ts";
import { ETIMEDOUT } from "../errno.ts";
import { close, connect, SystemError, setSocketOption, socket } from "../libc.ts";

// include/linux/socket.h, include/linux/net.h, include/uapi/asm-generic/socket.h, include/uapi/linux/in.h
const FAMILY = { 4: 2, 6: 10 } as const;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;

/** Where a program listens. */
export interface Server {
  readonly address: Address;
  readonly port: number;
}

/** "10.96.0.1:443", "[fd00::1]:443". */
export function formatServer({ address, port }: Server): string {
  const text = formatAddress(address);
  return `${address.family === 6 ? `[${text}]` : text}:${port}`;
}

/** Connects. Throws a SystemError: ETIMEDOUT, ECONNREFUSED, ENETUNREACH, …. The caller closes the socket. */
export function dial(server: Server, timeoutMs: number): number {
  const fd = socket(FAMILY[server.address.family], SOCK_STREAM | SOCK_CLOEXEC, 0);
  try {
    setPatience(fd, timeoutMs);
    connect(fd, socketAddress(server));
    return fd;
  } catch (error) {
    close(fd);
    // What the kernel says when SO_SNDTIMEO is over.
    if (error instanceof SystemError && error.code === "EINPROGRESS")
      throw new SystemError("connect", ETIMEDOUT);
    throw error;
  }
}

/** How long each call on the socket may wait from now on; at least a millisecond, as 0 would be for ever. */
export function setPatience(fd: number, timeoutMs: number): void {
  const ms = Math.max(1, Math.floor(timeoutMs));
  // `struct timeval` of 64-bit Linux.
  const time = new BigInt64Array([BigInt(Math.floor(ms / 1000)), BigInt((ms % 1000) * 1000)]);
  for (const option of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    setSocketOption(fd, SOL_SOCKET, option, new Uint8Array(time.buffer));
  }
}

/** `struct sockaddr_in`, `struct sockaddr_in6`. */
function socketAddress({ address, port }: Server): Uint8Array {
  const bytes = new Uint8Array(address.family === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, FAMILY[address.family], true);
  view.setUint16(2, port);
  bytes.set(addressBytes(address), address.family === 4 ? 4 : 8);
  return bytes;
}
