// Files and directories, as far as this program needs them.
import { ENOSPC } from "./errno.ts";
import { access, close, open, readBytes, SystemError, statfs, statx, writeBytes } from "./libc.ts";

// include/uapi/asm-generic/fcntl.h. O_DIRECTORY and O_NOFOLLOW are none of ours: arm64 has other numbers for them.
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
// include/uapi/linux/fcntl.h, stat.h
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
// include/linux/fs.h, unistd.h
const W_OK = 2;
const X_OK = 1;
const STATX_BASIC_STATS = 0x7ff;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

const CHUNK_BYTES = 16 * 1024;
const encoder = new TextEncoder();

export interface FileStatus {
  /** Of device and inode: nobody else's as long as it exists. */
  readonly identity: string;
  readonly bytes: number;
  readonly kind: "file" | "directory" | "link" | "other";
  /** Permissions: 0o755. */
  readonly mode: number;
  /** The owner's. */
  readonly uid: number;
}

/** Throws a SystemError. The caller closes the descriptor. */
export function openFile(path: string, flags: number, mode = 0o600): number {
  return open(path, flags, mode);
}

export function closeFile(fd: number): void {
  close(fd);
}

/** All that is left to read of an open file, or all of the file at a path. Throws a SystemError. */
export function readAll(source: number | string): Uint8Array<ArrayBuffer> {
  if (typeof source === "string") return withFile(source, O_RDONLY, readAll);
  let whole = new Uint8Array(CHUNK_BYTES);
  let bytes = 0;
  for (;;) {
    const length = readBytes(source, whole.subarray(bytes));
    if (length === 0) return whole.subarray(0, bytes);
    bytes += length;
    if (bytes === whole.length) {
      const larger = new Uint8Array(2 * whole.length);
      larger.set(whole);
      whole = larger;
    }
  }
}

/** `readAll` as text. Throws a SystemError. */
export function readText(source: number | string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readAll(source)); // a byte order mark is no JSON
}

/** The whole text; waits for a reader who is slow (EAGAIN). Throws a SystemError, EPIPE where the reader is gone. */
export function writeText(fd: number, text: string): void {
  writeAll(fd, encoder.encode(text));
}

/** `writeText` of bytes. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeBytes(fd, bytes.subarray(at));
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "EAGAIN") throw error;
    }
  }
}

/** `writeText`, for who goes on anyway; false if the reader is gone. */
export function tryWriteText(fd: number, text: string): boolean {
  try {
    writeText(fd, text);
    return true;
  } catch {
    return false;
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

/** Of an open file, or of what a path leads to. Throws a SystemError. */
export function statusOf(file: number | string): FileStatus {
  return typeof file === "number" ? status(file, "", AT_EMPTY_PATH) : status(AT_FDCWD, file, 0);
}

function status(fd: number, path: string, flags: number): FileStatus {
  const view = statx(fd, path, flags, STATX_BASIC_STATS);
  // `struct statx` (include/uapi/linux/stat.h): stx_dev_major, stx_dev_minor; stx_ino, stx_size, stx_mode, stx_uid.
  const device = `${view.getUint32(136, true)}:${view.getUint32(140, true)}`;
  const mode = view.getUint16(28, true);
  return {
    identity: `${device}:${view.getBigUint64(32, true)}`,
    bytes: Number(view.getBigUint64(40, true)),
    kind: kindOf(mode & S_IFMT),
    mode: mode & 0o7777,
    uid: view.getUint32(20, true),
  };
}

function kindOf(type: number): FileStatus["kind"] {
  if (type === S_IFREG) return "file";
  if (type === S_IFDIR) return "directory";
  return type === S_IFLNK ? "link" : "other";
}

/** Like `statusOf`; `undefined` where there is nothing. */
export function findStatus(path: string): FileStatus | undefined {
  return ifThere(() => statusOf(path));
}

/** Like `findStatus`, of a symbolic link itself. */
export function findEntry(path: string): FileStatus | undefined {
  return ifThere(() => status(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW));
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
  if (fileSystemOf(directory).free === 0) throw new SystemError(`write in ${directory}`, ENOSPC);
}

export interface FileSystem {
  /** Which kind it is (include/uapi/linux/magic.h). */
  readonly magic: number;
  /** Bytes that may still be written. */
  readonly free: number;
  /** No byte, or no file more. */
  readonly isFull: boolean;
}

/** The file system that a path is on. Throws a SystemError. */
export function fileSystemOf(path: string): FileSystem {
  // `struct statfs`: f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree.
  const view = statfs(path);
  const [magic = 0, blockBytes = 0, , , blocks = 0, files = 0, freeFiles = 0] = Array.from(
    { length: 7 },
    (_, at) => Number(view.getBigUint64(8 * at, true)),
  );
  const free = blocks * blockBytes;
  return { magic, free, isFull: free === 0 || (files > 0 && freeFiles === 0) };
}

/** Whether a program could be started from it, by whoever asks. */
export function isExecutable(path: string): boolean {
  try {
    access(path, X_OK);
    return statusOf(path).kind === "file";
  } catch {
    return false; // what cannot be looked at is passed over, as a shell does with its PATH
  }
}

/** Writes a file anew, for who has no reader meanwhile. Throws a SystemError. */
export function writeFile(path: string, text: string, mode = 0o666): void {
  withFile(path, O_WRONLY | O_CREAT | O_TRUNC, (fd) => writeText(fd, text), mode);
}
