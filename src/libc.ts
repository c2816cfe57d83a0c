// The C library: the calls into the kernel that this program makes, each with its errors. Others import bun:ffi only for
// libraries of their own.
import { CString, dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { EINTR, EINVAL, errnoName } from "./errno.ts";

const POLLIN = 0x1;
// include/uapi/asm-generic/fcntl.h
const O_CLOEXEC = 0o2000000;

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: FFIType.i64_fast },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: FFIType.i64_fast },
  recvfrom: { args: ["i32", "ptr", "u64", "i32", "ptr", "ptr"], returns: FFIType.i64_fast },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  setns: { args: ["i32", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  pread: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  access: { args: ["ptr", "i32"], returns: "i32" },
  statfs: { args: ["ptr", "ptr"], returns: "i32" },
  getdents64: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  readlink: { args: ["ptr", "ptr", "u64"], returns: FFIType.i64_fast },
  mkdir: { args: ["ptr", "u32"], returns: "i32" },
  rmdir: { args: ["ptr"], returns: "i32" },
  unlink: { args: ["ptr"], returns: "i32" },
  fchmod: { args: ["i32", "u32"], returns: "i32" },
  fsync: { args: ["i32"], returns: "i32" },
  memcmp: { args: ["ptr", "ptr", "u64"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  rename: { args: ["ptr", "ptr"], returns: "i32" },
  isatty: { args: ["i32"], returns: "i32" },
  getrandom: { args: ["ptr", "u64", "u32"], returns: FFIType.i64_fast },
  usleep: { args: ["u32"], returns: "i32" },
  strerror: { args: ["i32"], returns: "ptr" },
  __errno_location: { args: [], returns: "ptr" },
});

const encoder = new TextEncoder();

/** An address that C gave. */
export type ForeignPointer = number | bigint | null;

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

/** bind(2); `address` is a whole `struct sockaddr_*`. */
export function bind(fd: number, address: Uint8Array): void {
  checked("bind", () => libc.bind(fd, ptr(address), address.byteLength));
}

/** connect(2); `address` is a whole `struct sockaddr_*`. With SO_SNDTIMEO it waits no longer: EINPROGRESS. */
export function connect(fd: number, address: Uint8Array): void {
  checked("connect", () => libc.connect(fd, ptr(address), address.byteLength));
}

/** sendto(2); `address` is a whole `struct sockaddr_*`. */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): void {
  checked("sendto", () => libc.sendto(fd, ptr(bytes), bytes.byteLength, 0, ptr(address), address.byteLength));
}

/** recvfrom(2) with MSG_* flags: the sender's `struct sockaddr_*` goes to `address`. Returns the length received. */
export function receiveFrom(fd: number, buffer: Uint8Array, address: Uint8Array, flags: number): number {
  const length = new Int32Array([address.byteLength]);
  return checked("recvfrom", () =>
    libc.recvfrom(fd, ptr(buffer), buffer.byteLength, flags, ptr(address), ptr(length)),
  );
}

/** poll(2) for reading: waits until one of the descriptors has something, or the time is over. Returns those that have. */
export function pollReadable(fds: readonly number[], timeoutMs: number): number[] {
  // `struct pollfd`: fd (int), events (short), revents (short).
  const entries = new Int32Array(fds.flatMap((fd) => [fd, POLLIN]));
  checked("poll", () => libc.poll(ptr(entries), fds.length, timeoutMs));
  return fds.filter((_, at) => (entries[2 * at + 1] ?? 0) >>> 16 !== 0);
}

/** setns(2): moves the calling thread, and it alone, into the namespace behind `fd`. `what` for the error's words. */
export function setns(fd: number, type: number, what = "setns"): void {
  checked(what, () => libc.setns(fd, type));
}

/** unshare(2): moves the calling thread, and it alone, into new namespaces of these types. `what` for the error's words. */
export function unshare(types: number, what = "unshare"): void {
  checked(what, () => libc.unshare(types));
}

/** mount(2) of what is mounted there already, with other MS_* flags. */
export function remount(path: string, flags: number): void {
  onPath("remount", path, (text) => libc.mount(null, text, null, flags, null));
}

/** fcntl(2) with a `struct flock`; waits where the command waits. */
export function fcntlLock(fd: number, command: number, flock: Uint8Array): void {
  checked("fcntl", () => libc.fcntl(fd, command, ptr(flock)));
}

/** open(2), never to be inherited. The caller closes the descriptor. */
export function open(path: string, flags: number, mode = 0): number {
  return onPath("open", path, (text) => libc.open(text, flags | O_CLOEXEC, mode));
}

/** close(2). The descriptor is gone in any case, and nothing that we write waits for it: there is nothing to report. */
export function close(fd: number): void {
  libc.close(fd);
}

/** read(2): how many bytes it was, 0 at the end. */
export function readBytes(fd: number, buffer: Uint8Array): number {
  return checked("read", () => libc.read(fd, ptr(buffer), buffer.byteLength));
}

/** pread(2): read(2) from a place in the file. */
export function readBytesAt(fd: number, buffer: Uint8Array, offset: number): number {
  return checked("read", () => libc.pread(fd, ptr(buffer), buffer.byteLength, offset));
}

/** write(2): how many bytes it was. */
export function writeBytes(fd: number, bytes: Uint8Array): number {
  return checked("write", () => libc.write(fd, ptr(bytes), bytes.byteLength));
}

/** statx(2) of a path, or with AT_EMPTY_PATH and "" of an open file: a `struct statx`, alike on every architecture. */
export function statx(fd: number, path: string, flags: number, mask: number): DataView {
  const bytes = new Uint8Array(256);
  onPath("stat", path, (text) => libc.statx(fd, text, flags, mask, ptr(bytes)));
  return new DataView(bytes.buffer);
}

/** access(2). Throws when the path is not there, or not to be used in this `mode`. */
export function access(path: string, mode: number): void {
  onPath("access", path, (text) => libc.access(text, mode));
}

/** statfs(2): a `struct statfs` of 64-bit Linux. */
export function statfs(path: string): DataView {
  const bytes = new Uint8Array(256);
  onPath("statfs", path, (text) => libc.statfs(text, ptr(bytes)));
  return new DataView(bytes.buffer);
}

/** getdents64(2): how many bytes of `struct linux_dirent64` it was, 0 at the end. */
export function readEntries(fd: number, buffer: Uint8Array): number {
  return checked("getdents64", () => libc.getdents64(fd, ptr(buffer), buffer.byteLength));
}

/** readlink(2): how many bytes it was. */
export function readLinkBytes(path: string, buffer: Uint8Array): number {
  return onPath("readlink", path, (text) => libc.readlink(text, ptr(buffer), buffer.byteLength));
}

/** mkdir(2). */
export function mkdir(path: string, mode: number): void {
  onPath("mkdir", path, (text) => libc.mkdir(text, mode));
}

/** rmdir(2): ENOTEMPTY for a directory that has anything in it. */
export function removeEmptyDirectory(path: string): void {
  onPath("rmdir", path, (text) => libc.rmdir(text));
}

/** unlink(2). */
export function unlink(path: string): void {
  onPath("unlink", path, (text) => libc.unlink(text));
}

/** fchmod(2). */
export function setMode(fd: number, mode: number): void {
  checked("fchmod", () => libc.fchmod(fd, mode));
}

/** fsync(2), of a file or a directory. */
export function sync(fd: number): void {
  checked("fsync", () => libc.fsync(fd));
}

/** memcmp(3): whether two arrays hold the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  return a.byteLength === 0 || libc.memcmp(ptr(a), ptr(b), a.byteLength) === 0;
}

/** rename(2). */
export function rename(from: string, to: string): void {
  const call = `rename ${from} to ${to}`;
  const [source, target] = [cString(from, call), cString(to, call)];
  checked(call, () => libc.rename(ptr(source), ptr(target)));
}

/** isatty(3): whether it is a terminal. */
export function isTerminal(fd: number): boolean {
  return libc.isatty(fd) === 1;
}

/** getrandom(2): numbers of 32 bits that nobody can guess; at most 64 of them. */
export function randomWords(count: number): Uint32Array {
  const words = new Uint32Array(count);
  checked("getrandom", () => libc.getrandom(ptr(words), words.byteLength, 0));
  return words;
}

/** Waits. */
export function sleep(milliseconds: number): void {
  libc.usleep(Math.round(milliseconds * 1000));
}

/** strerror(3) with the name in front of it would be "EEXIST: File exists"; this is the text alone. */
export function describeErrno(errno: number): string {
  return textAt(libc.strerror(errno));
}

/** A C string that is somebody else's. */
export function textAt(address: ForeignPointer): string {
  return String(new CString(Number(address) as Pointer));
}

/** A call with a path, which the error names. */
function onPath(call: string, path: string, attempt: (path: Pointer) => number | bigint): number {
  const what = path === "" ? call : `${call} ${path}`;
  const text = cString(path, what);
  return checked(what, () => attempt(ptr(text)));
}

/** A text with a NUL at its end and nowhere else: the kernel would open what stands before it. Keep it while it is used. */
export function cString(text: string, call: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError(call, EINVAL);
  return encoder.encode(`${text}\0`);
}

/** Turns -1 into a SystemError; what a signal interrupted is tried again. */
export function checked(call: string, attempt: () => number | bigint): number {
  for (;;) {
    const value = Number(attempt());
    if (value !== -1) return value;
    // Read at once: the next call of anybody on this thread may overwrite it.
    const errno = read.i32(libc.__errno_location() as Pointer);
    if (errno !== EINTR) throw new SystemError(call, errno);
  }
}
