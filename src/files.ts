// Files, by the C library. node:fs does all this too, but loading it takes every verb 1 ms, as long as the wiring takes.
import { ENOSPC } from "./errno.ts";
import { access, close, open, readBytes, SystemError, statfs, statx, writeBytes } from "./libc.ts";

// include/uapi/asm-generic/fcntl.h
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
// include/uapi/linux/fcntl.h, stat.h
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
// include/linux/fs.h, unistd.h
const W_OK = 2;
const X_OK = 1;
const STATX_INO = 0x100;
const STATX_SIZE = 0x200;

const CHUNK_BYTES = 16 * 1024;
const encoder = new TextEncoder();

/** What identifies a file as long as it exists, and its size. */
export interface FileStatus {
  /** Of device and inode. */
  readonly identity: string;
  readonly bytes: number;
}

/** Throws a SystemError. The caller closes the descriptor. */
export function openFile(path: string, flags: number, mode = 0o600): number {
  return open(path, flags, mode);
}

export function closeFile(fd: number): void {
  close(fd);
}

/** All that is left to read of an open file, or all of the file at a path. Throws a SystemError. */
export function readText(source: number | string): string {
  if (typeof source === "string") return withFile(source, O_RDONLY, readText);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a byte order mark is no JSON
  const chunk = new Uint8Array(CHUNK_BYTES);
  let text = "";
  for (let length = readBytes(source, chunk); length > 0; length = readBytes(source, chunk)) {
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  return text + decoder.decode();
}

/** The whole text; waits for a reader who is slow (EAGAIN). Throws a SystemError, EPIPE where the reader is gone. */
export function writeText(fd: number, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeBytes(fd, bytes.subarray(at));
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "EAGAIN") throw error;
    }
  }
}

/** Opens a file for the time of `work`. Throws a SystemError. */
export function withFile<T>(path: string, flags: number, work: (fd: number) => T, mode?: number): T {
  const fd = openFile(path, flags, mode);
  try {
    return work(fd);
  } finally {
    closeFile(fd);
  }
}

/** Of an open file, or of what is at a path. Throws a SystemError. */
export function statusOf(file: number | string): FileStatus {
  const [fd, path, flags] =
    typeof file === "number" ? ([file, "", AT_EMPTY_PATH] as const) : ([AT_FDCWD, file, 0] as const);
  const view = statx(fd, path, flags, STATX_INO | STATX_SIZE);
  // `struct statx`: stx_ino, stx_size, stx_dev_major, stx_dev_minor (include/uapi/linux/stat.h).
  const device = `${view.getUint32(136, true)}:${view.getUint32(140, true)}`;
  return {
    identity: `${device}:${view.getBigUint64(32, true)}`,
    bytes: Number(view.getBigUint64(40, true)),
  };
}

/** Like `statusOf`; `undefined` where there is nothing. */
export function findStatus(path: string): FileStatus | undefined {
  return ifThere(() => statusOf(path));
}

/** Like `readText`; `undefined` where there is nothing. */
export function findText(path: string): string | undefined {
  return ifThere(() => readText(path));
}

function ifThere<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return undefined;
    throw error;
  }
}

/** Throws a SystemError unless files could be made in the directory: EACCES or EROFS, or ENOSPC. */
export function assertRoom(directory: string): void {
  access(directory, W_OK | X_OK);
  // `struct statfs`: f_bavail.
  if (statfs(directory).getBigUint64(32, true) === 0n) throw new SystemError(`write in ${directory}`, ENOSPC);
}

/** Node's own, for what is rare. */
export function nodeFiles(): typeof import("node:fs") {
  return process.getBuiltinModule("node:fs");
}
