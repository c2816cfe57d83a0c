// One at a time: whoever installs or removes, on this node.
import { makeDirectories, removeFile } from "../directories.ts";
import { findStatus } from "../files.ts";
import { removeEmptyDirectory, SystemError } from "../libc.ts";
import { LockFile } from "../lock.ts";
import { dirname } from "../paths.ts";

/**
 * Waits until nobody else is at work. Disposing of the answer removes the file, and its directory where nothing else is in
 * it; after a kill the kernel has let go of the lock, and the next one finds an old file.
 */
export function lockNode(path: string): Disposable {
  for (;;) {
    makeDirectories(dirname(path), 0o700);
    const file = new LockFile(path);
    const lock = file.hold(0n);
    // Whoever had it before has removed it: what we hold is nobody's any more.
    if (findStatus(path)?.identity !== file.identity) {
      file[Symbol.dispose]();
      continue;
    }
    const release = () => {
      removeFile(path);
      lock[Symbol.dispose]();
      file[Symbol.dispose]();
      removeIfEmpty(dirname(path));
    };
    return { [Symbol.dispose]: release };
  }
}

/** Makes a directory that is missing; disposing of `undo` removes it where nothing has come into it. */
export function ensureDirectory(path: string, mode: number, undo: DisposableStack): void {
  if (findStatus(path)) return;
  try {
    makeDirectories(path, mode);
  } catch (error) {
    throw new Error(`Cannot make ${path}: ${(error as Error).message}`, { cause: error });
  }
  undo.defer(() => removeIfEmpty(path));
}

export function removeIfEmpty(directory: string): void {
  try {
    removeEmptyDirectory(directory);
  } catch (error) {
    const code = error instanceof SystemError ? error.code : undefined;
    // EBUSY, EROFS: something is mounted there, as in a container.
    if (!["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY", "EROFS"].includes(code ?? "")) throw error;
  }
}
