// A file of lines that many processes append to, and that does not grow without bounds.
import { renameFile } from "./directories.ts";
import { findStatus, O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY, statusOf, withFile } from "./files.ts";
import { writeBytes } from "./libc.ts";
import { LockFile } from "./lock.ts";

/** Where the file is put aside, and begun anew. */
const FULL_BYTES = 10 << 20;
/** How many of those that were put aside are kept: FILE.1 is the youngest. */
const KEPT = 2;

/**
 * Appends the line by one write(2): lines of processes at the same time do not mix, and none is lost when one of them puts
 * the file aside. Waits for nobody: a pipe without a reader is an error. Throws a SystemError; a line that did not fit on
 * a full disk is cut.
 */
export function appendLine(path: string, line: string): void {
  withFile(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, (fd) => {
    writeBytes(fd, new TextEncoder().encode(`${line}\n`));
    const { identity, bytes } = statusOf(fd);
    if (bytes >= FULL_BYTES) putAside(path, identity);
  });
}

/** From the youngest to the oldest, whether they exist or not. */
export function journalFiles(path: string): string[] {
  return [path, ...Array.from({ length: KEPT }, (_, at) => `${path}.${at + 1}`)];
}

/**
 * Whoever has the lock of the full file renames; the others go on writing to it, under whatever name. The lock is the
 * file's own: it is renamed by who holds it, and only while it is still in its place.
 */
function putAside(path: string, full: string): void {
  using file = new LockFile(path);
  using lock = file.tryHold(0n);
  if (lock === undefined || file.identity !== full || findStatus(path)?.identity !== full) return;
  const names = journalFiles(path);
  for (let at = names.length - 1; at > 0; at--) renameIfThere(names[at - 1] as string, names[at] as string);
}

function renameIfThere(from: string, to: string): void {
  if (findStatus(from) !== undefined) renameFile(from, to);
}
