// Files that change at one instant: written aside in the same directory, down to the disk, and renamed.
import { listDirectory, removeFile, removeTree, renameFile, syncDirectory } from "../directories.ts";
import {
  closeFile,
  findEntry,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_WRONLY,
  openFile,
  statusOf,
  withFile,
  writeAll,
} from "../files.ts";
import { readBytes, sameBytes, setMode, sync } from "../libc.ts";
import { basename, dirname, join } from "../paths.ts";

// Container runtimes load neither hidden files nor such endings.
const NEW = ".slash32-new";
const OLD = ".slash32-old";
/** Few calls for an executable of many megabytes. */
const CHUNK_BYTES = 4 << 20;

/** What is to be in a file: these bytes, or those of the file at this path. */
export type Content = Uint8Array | string;

/** What is to stand in `path`, complete and on the disk, beside it. Goes when it is disposed of, unless it is committed. */
export class Aside implements Disposable {
  readonly path: string;
  /** Where it is until then. */
  readonly temporary: string;

  private constructor(path: string) {
    this.path = path;
    this.temporary = join(dirname(path), `.${basename(path)}${NEW}`);
  }

  /** The directory has to be there. Throws, and leaves nothing, where the file does not become what it should. */
  static write(path: string, content: Content, mode: number): Aside {
    const aside = new Aside(path);
    try {
      removeFile(aside.temporary); // an earlier one may still be executed
      copy(content, aside.temporary, mode);
      if (!holds(aside.temporary, content, mode)) throw new Error("it does not read back");
      return aside;
    } catch (error) {
      aside[Symbol.dispose]();
      throw new Error(`Cannot write ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** At one instant, and for good: also where the power goes the next moment. */
  commit(): void {
    renameFile(this.temporary, this.path);
    syncDirectory(dirname(this.path));
  }

  [Symbol.dispose](): void {
    removeFile(this.temporary);
  }
}

/** Whether the path is a plain file with this content and these permissions. */
export function holds(path: string, content: Content, mode: number): boolean {
  const status = findEntry(path);
  if (status?.kind !== "file" || status.mode !== mode || status.bytes !== lengthOf(content)) return false;
  return withFile(path, O_RDONLY, (fd) => {
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(1, status.bytes)));
    for (const piece of pieces(content)) {
      const found = buffer.subarray(0, piece.length);
      if (fill(fd, found) !== piece.length || !sameBytes(found, piece)) return false;
    }
    return true;
  });
}

/** Takes a file out of the way, for runtimes as good as removed, and returns its new name. */
export function setAside(path: string): string {
  const aside = join(dirname(path), `.${basename(path)}${OLD}`);
  renameFile(path, aside);
  syncDirectory(dirname(path));
  return aside;
}

/** Undoes `setAside`. */
export function putBack(aside: string, path: string): void {
  renameFile(aside, path);
  syncDirectory(dirname(path));
}

/** What was set aside, and how it was called before. */
export function listSetAside(directory: string): { readonly path: string; readonly name: string }[] {
  return names(directory)
    .filter((name) => name.startsWith(".") && name.endsWith(OLD))
    .map((name) => ({ path: join(directory, name), name: name.slice(1, -OLD.length) }));
}

/** Files that somebody who was killed left in a directory on the way to their places. */
export function listUnfinished(directory: string): string[] {
  return names(directory)
    .filter((name) => name.startsWith(".") && name.endsWith(NEW))
    .map((name) => join(directory, name));
}

/** Removes a file, or a directory with all that is in it, for good; that there is none is no error. */
export function remove(path: string): void {
  removeTree(path);
  syncDirectory(dirname(path));
}

function names(directory: string): string[] {
  return findEntry(directory)?.kind === "directory" ? listDirectory(directory).sort() : [];
}

function copy(content: Content, path: string, mode: number): void {
  const write = (fd: number) => {
    for (const piece of pieces(content)) writeAll(fd, piece);
    setMode(fd, mode); // whatever the umask is
    sync(fd);
  };
  withFile(path, O_WRONLY | O_CREAT | O_EXCL, write, mode);
}

function lengthOf(content: Content): number {
  return typeof content === "string" ? statusOf(content).bytes : content.length;
}

/** Each is valid until the next is asked for. */
function* pieces(content: Content): Generator<Uint8Array> {
  if (typeof content !== "string") {
    yield content;
    return;
  }
  const fd = openFile(content, O_RDONLY);
  try {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let length = fill(fd, buffer); length > 0; length = fill(fd, buffer)) {
      yield buffer.subarray(0, length);
    }
  } finally {
    closeFile(fd);
  }
}

/** Reads until the buffer is full, or the file at its end; how much it was. */
function fill(fd: number, buffer: Uint8Array): number {
  let at = 0;
  while (at < buffer.length) {
    const length = readBytes(fd, buffer.subarray(at));
    if (length === 0) break;
    at += length;
  }
  return at;
}
