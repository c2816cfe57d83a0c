// The C library: the handful of calls that neither Bun nor Node offers, and those that are at hand at once where Node's
// own would have to be loaded first.
import { CString, dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { EINTR, EINVAL, errnoName } from "./errno.ts";

const POLLIN = 0x1;
// include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const F_SETFL = 4;
const F_SETPIPE_SZ = 1031;
// Every pipe holds as much (pipe(7)).
const LEAST_PIPE_BYTES = 1 << 16;

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  setns: { args: ["i32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  strerror: { args: ["i32"], returns: "ptr" },
  __errno_location: { args: [], returns: "ptr" },
});

const encoder = new TextEncoder();

/** A call into the kernel that failed: which call, errno by its name ("EPERM"), and strerror's words. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly call: string;
  readonly code: string;
  readonly reason: string;

  constructor(call: string, errno: number, options?: ErrorOptions) {
    const reason = describeErrno(errno);
    super(`Cannot ${call}: ${reason}`, options);
    this.call = call;
    this.code = errnoName(errno);
    this.reason = reason;
  }
}

/** socket(2). The caller closes the descriptor. It belongs to the calling thread's network namespace. */
export function socket(family: number, type: number, protocol: number): number {
  return checked("socket", () => libc.socket(family, type, protocol));
}

/** setsockopt(2): a number is an int, all else is given as the kernel wants it. */
export function setSocketOption(fd: number, level: number, option: number, value: number | Uint8Array): void {
  const bytes = typeof value === "number" ? new Int32Array([value]) : value;
  checked("setsockopt", () => libc.setsockopt(fd, level, option, ptr(bytes), bytes.byteLength));
}

/** send(2), whole or not at all: netlink is a datagram protocol. */
export function send(fd: number, bytes: Uint8Array): void {
  checked("send", () => libc.send(fd, ptr(bytes), bytes.byteLength, 0));
}

/** recv(2) with MSG_* flags. Returns what the kernel counted, with MSG_TRUNC the length before truncation. */
export function receive(fd: number, buffer: Uint8Array, flags: number): number {
  return checked("recv", () => libc.recv(fd, ptr(buffer), buffer.byteLength, flags));
}

/** setns(2): moves the calling thread, and it alone, into the namespace behind `fd`. `what` for the error's words. */
export function setns(fd: number, type: number, what = "setns"): void {
  checked(what, () => libc.setns(fd, type));
}

/** fcntl(2) with a `struct flock`; waits where the command waits. */
export function fcntlLock(fd: number, command: number, flock: Uint8Array): void {
  checked("fcntl", () => libc.fcntl(fd, command, ptr(flock)));
}

/** open(2), never to be inherited. The caller closes the descriptor. */
export function open(path: string, flags: number, mode = 0): number {
  const call = `open ${path}`;
  const text = cString(path, call);
  return checked(call, () => libc.open(ptr(text), flags | O_CLOEXEC, mode));
}

/** close(2). The descriptor is gone in any case, and nothing that we write waits for it: there is nothing to report. */
export function close(fd: number): void {
  libc.close(fd);
}

/** read(2): how many bytes it was, 0 at the end. */
export function readBytes(fd: number, buffer: Uint8Array): number {
  return checked("read", () => libc.read(fd, ptr(buffer), buffer.byteLength));
}

/** write(2): how many bytes it was. */
export function writeBytes(fd: number, bytes: Uint8Array): number {
  return checked("write", () => libc.write(fd, ptr(bytes), bytes.byteLength));
}

/** statx(2) of a path, or with AT_EMPTY_PATH and "" of an open file: a `struct statx`, alike on every architecture. */
export function statx(fd: number, path: string, flags: number, mask: number): DataView {
  const call = path === "" ? "stat" : `stat ${path}`;
  const text = cString(path, call);
  const bytes = new Uint8Array(256);
  checked(call, () => libc.statx(fd, ptr(text), flags, mask, ptr(bytes)));
  return new DataView(bytes.buffer);
}

/** What neither ADD nor DEL needs is loaded when it is first called: each symbol costs time at start. */
function openLater() {
  return dlopen("libc.so.6", {
    access: { args: ["ptr", "i32"], returns: "i32" },
    statfs: { args: ["ptr", "ptr"], returns: "i32" },
    memcmp: { args: ["ptr", "ptr", "u64"], returns: "i32" },
    rmdir: { args: ["ptr"], returns: "i32" },
    unshare: { args: ["i32"], returns: "i32" },
    mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: FFIType.i64_fast },
    recvfrom: { args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"], returns: FFIType.i64_fast },
    poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  }).symbols;
}

let later: ReturnType<typeof openLater> | undefined;

function laterCalls(): ReturnType<typeof openLater> {
  later ??= openLater();
  return later;
}

/** access(2). Throws when the path is not there, or not to be used in this `mode`. */
export function access(path: string, mode: number): void {
  const call = `access ${path}`;
  const text = cString(path, call);
  checked(call, () => laterCalls().access(ptr(text), mode));
}

/** statfs(2): a `struct statfs` of 64-bit Linux. */
export function statfs(path: string): DataView {
  const call = `statfs ${path}`;
  const text = cString(path, call);
  const bytes = new Uint8Array(256);
  checked(call, () => laterCalls().statfs(ptr(text), ptr(bytes)));
  return new DataView(bytes.buffer);
}

/** memcmp(3): whether two arrays hold the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  return a.byteLength === 0 || laterCalls().memcmp(ptr(a), ptr(b), a.byteLength) === 0;
}

/** rmdir(2): ENOTEMPTY for a directory that has anything in it. */
export function removeEmptyDirectory(path: string): void {
  const call = `rmdir ${path}`;
  const text = cString(path, call);
  checked(call, () => laterCalls().rmdir(ptr(text)));
}

/** unshare(2): moves the calling thread, and it alone, into new namespaces of these types. `what` for the error's words. */
export function unshare(types: number, what = "unshare"): void {
  checked(what, () => laterCalls().unshare(types));
}

/** mount(2) of what is mounted there already, with other MS_* flags. */
export function remount(path: string, flags: number): void {
  const call = `remount ${path}`;
  const text = cString(path, call);
  checked(call, () => laterCalls().mount(null, ptr(text), null, flags, null));
}

/** connect(2); `address` is a whole `struct sockaddr_*`. With SO_SNDTIMEO it waits no longer: EINPROGRESS. */
export function connect(fd: number, address: Uint8Array): void {
  checked("connect", () => laterCalls().connect(fd, ptr(address), address.byteLength));
}

/** bind(2); `address` is a whole `struct sockaddr_*`. */
export function bind(fd: number, address: Uint8Array): void {
  checked("bind", () => laterCalls().bind(fd, ptr(address), address.byteLength));
}

/** sendto(2); `address` is a whole `struct sockaddr_*`. */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): void {
  const { sendto } = laterCalls();
  checked("sendto", () => sendto(fd, ptr(bytes), bytes.byteLength, 0, ptr(address), address.byteLength));
}

/** recvfrom(2) with MSG_* flags: the sender's `struct sockaddr_*` goes to `address`. Returns the length received. */
export function receiveFrom(fd: number, buffer: Uint8Array, address: Uint8Array, flags: number): number {
  const length = new Int32Array([address.byteLength]);
  const { recvfrom } = laterCalls();
  return checked("recvfrom", () =>
    recvfrom(fd, ptr(buffer), buffer.byteLength, flags, ptr(address), ptr(length)),
  );
}

/** poll(2) for reading: waits until one of the descriptors has something, or the time is over. Returns those that have. */
export function pollReadable(fds: readonly number[], timeoutMs: number): number[] {
  // `struct pollfd`: fd (int), events (short), revents (short).
  const entries = new Int32Array(fds.flatMap((fd) => [fd, POLLIN]));
  checked("poll", () => laterCalls().poll(ptr(entries), fds.length, timeoutMs));
  return fds.filter((_, at) => ((entries[2 * at + 1] ?? 0) >>> 16) & POLLIN);
}

/**
 * pipe2(2), closed on exec: the end to read from, which never waits, and the end to write to. A writer waits once it is
 * `bytes` ahead, or less where the kernel refuses so much to us. The caller closes both.
 */
export function pipe(bytes: number): { readonly readEnd: number; readonly writeEnd: number } {
  // Loaded only when another IPAM plugin is run: each symbol costs time at start.
  const { symbols } = dlopen("libc.so.6", {
    pipe2: { args: ["ptr", "i32"], returns: "i32" },
    fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  });
  const ends = new Int32Array(2);
  checked("pipe", () => symbols.pipe2(ptr(ends), O_CLOEXEC));
  const [readEnd = -1, writeEnd = -1] = ends;
  let granted = bytes;
  while (granted > LEAST_PIPE_BYTES && symbols.fcntl(readEnd, F_SETPIPE_SZ, granted) === -1) granted /= 2;
  checked("fcntl", () => symbols.fcntl(readEnd, F_SETFL, O_NONBLOCK));
  return { readEnd, writeEnd };
}

/** strerror(3) with the name in front of it would be "EEXIST: File exists"; this is the text alone. */
export function describeErrno(errno: number): string {
  return String(new CString(libc.strerror(errno) as Pointer));
}

/** With a NUL at its end and nowhere else: the kernel would open what stands before it. */
function cString(text: string, call: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError(call, EINVAL);
  return encoder.encode(`${text}\0`);
}

/** Turns -1 into a SystemError; what a signal interrupted is tried again. */
function checked(call: string, attempt: () => number | bigint): number {
  for (;;) {
    const value = Number(attempt());
    if (value !== -1) return value;
    // Read at once: the next call of anybody on this thread may overwrite it.
    const errno = read.i32(libc.__errno_location() as Pointer);
    if (errno !== EINTR) throw new SystemError(call, errno);
  }
}
