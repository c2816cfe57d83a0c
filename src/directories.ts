// Directories and what is in them, as far as this program needs them.
import { findEntry, findStatus, O_NONBLOCK, O_RDONLY, withFile } from "./files.ts";
import {
  mkdir,
  readEntries,
  readLinkBytes,
  removeEmptyDirectory,
  rename,
  SystemError,
  sync,
  unlink,
} from "./libc.ts";
import { dirname, join } from "./paths.ts";

const CHUNK_BYTES = 16 * 1024;
// PATH_MAX (include/uapi/linux/limits.h)
const LONGEST_PATH_BYTES = 4096;

/** Names in a directory, in no order. Throws a SystemError. */
export function listDirectory(path: string): string[] {
  return withFile(path, O_RDONLY | O_NONBLOCK, (fd) => {
    const buffer = new Uint8Array(CHUNK_BYTES);
    const names: string[] = [];
    for (let bytes = readEntries(fd, buffer); bytes > 0; bytes = readEntries(fd, buffer)) {
      names.push(...entryNames(buffer.subarray(0, bytes)));
    }
    return names.filter((name) => name !== "." && name !== "..");
  });
}

/** `struct linux_dirent64` (include/linux/dirent.h): d_reclen at 16, d_name at 19. */
function entryNames(entries: Uint8Array): string[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.byteLength);
  const names: string[] = [];
  for (let at = 0; at < entries.length; at += view.getUint16(at + 16, true)) {
    const end = entries.indexOf(0, at + 19);
    names.push(new TextDecoder().decode(entries.subarray(at + 19, end)));
  }
  return names;
}

/** As one would say it from the root; a path that does not begin there is taken from `base`, or from where we are. */
export function absolutePath(path: string, base?: string): string {
  return path.startsWith("/") ? join(path) : join(base ?? readLink("/proc/self/cwd"), path);
}

/** Where a symbolic link leads. Throws a SystemError. */
export function readLink(path: string): string {
  const buffer = new Uint8Array(LONGEST_PATH_BYTES);
  return new TextDecoder().decode(buffer.subarray(0, readLinkBytes(path, buffer)));
}

/** Makes the directory, and those it lies in; that it is there is no error. Throws a SystemError. */
export function makeDirectories(path: string, mode: number): void {
  try {
    makeDirectory(path, mode);
  } catch (error) {
    const isParentMissing = error instanceof SystemError && error.code === "ENOENT" && dirname(path) !== path;
    if (!isParentMissing) throw error;
    makeDirectories(dirname(path), mode);
    makeDirectory(path, mode);
  }
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdir(path, mode);
  } catch (error) {
    const isThere = error instanceof SystemError && error.code === "EEXIST";
    if (!isThere || findStatus(path)?.kind !== "directory") throw error;
  }
}

/** The file at `from` takes the place of what is at `to`, in one instant. Throws a SystemError. */
export function renameFile(from: string, to: string): void {
  rename(from, to);
}

/** Removes a file; that there is none is no error. Throws a SystemError. */
export function removeFile(path: string): void {
  gone(() => unlink(path));
}

/** Removes whatever is there, a directory with all that is in it; links are not followed. Throws a SystemError. */
export function removeTree(path: string): void {
  const isDirectory = findEntry(path)?.kind === "directory";
  if (isDirectory) for (const name of listDirectory(path)) removeTree(join(path, name));
  gone(() => (isDirectory ? removeEmptyDirectory : unlink)(path));
}

/** What was made, renamed or removed in it stays so, also where the power goes the next moment. Throws a SystemError. */
export function syncDirectory(path: string): void {
  withFile(path, O_RDONLY, sync);
}

/** That what is to be removed is not there is no error. */
function gone(remove: () => void): void {
  try {
    remove();
  } catch (error) {
    if (!(error instanceof SystemError) || !["ENOENT", "ENOTDIR"].includes(error.code)) throw error;
  }
}
