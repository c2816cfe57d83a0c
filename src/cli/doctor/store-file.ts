// A network's store, read without waiting for ever and without changing it: a store that is broken must be reported
// and not be made anew.
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { type Holding, Store } from "../../ipam/store.ts";
import { LockFile } from "../../lock.ts";

/** Every verb holds it for milliseconds; whoever holds it longer is stuck. */
const LOCK_PATIENCE_MS = 2000;
const LOCK_PAUSE_MS = 20;
/** The store's own (ipam/store.ts): byte 0 of the lock file orders its transactions. */
const STORE_BYTE = 0n;

// https://www.sqlite.org/fileformat.html, "The Database Header"
const MAGIC = "SQLite format 3\0";
const HEADER_BYTES = 100;
const USER_VERSION_AT = 60;

export type Stored =
  | { readonly kind: "none" }
  | { readonly kind: "read"; readonly holdings: readonly Holding[] }
  | {
      readonly kind: "unreadable";
      readonly seen: string;
      /** Whether trying again may help: another process has it. */
      readonly busy: boolean;
    };

/** All that the network's store knows. Never throws for what is wrong with it. */
export function readStored(stateDir: string, network: string): Stored {
  if (!Store.exists(stateDir, network)) return { kind: "none" };
  const path = join(stateDir, network, "leases.db");
  try {
    const flaw = headerFlaw(path);
    if (flaw) return { kind: "unreadable", seen: `${path} ${flaw}`, busy: false };
    // Without its lock file the store is opened by nobody; opening it would make one.
    if (!existsSync(join(stateDir, network, "lock"))) {
      return { kind: "unreadable", seen: `${join(stateDir, network, "lock")} is missing`, busy: false };
    }
    if (!isFree(join(stateDir, network, "lock"))) {
      const seen = `${path} has been locked by another process for ${LOCK_PATIENCE_MS / 1000} s`;
      return { kind: "unreadable", seen, busy: true };
    }
    using store = Store.open(stateDir, network);
    return { kind: "read", holdings: store.list() };
  } catch (error) {
    return { kind: "unreadable", seen: (error as Error).message, busy: false };
  }
}

/** Whether this attachment's lock is held: a verb is at work on it, and it may be half made. */
export function isAtWork(stateDir: string, network: string, attachmentNumber: bigint): boolean {
  using store = Store.open(stateDir, network);
  using lock = store.tryLock(attachmentNumber);
  return lock === undefined;
}

/** What is no database is not given to SQLite, which would take an empty file for a new one. */
function headerFlaw(path: string): string | undefined {
  const header = new Uint8Array(HEADER_BYTES);
  const fd = openSync(path, "r");
  try {
    if (readSync(fd, header) < HEADER_BYTES) return "is empty or cut short";
  } finally {
    closeSync(fd);
  }
  const magic = new TextDecoder().decode(header.subarray(0, MAGIC.length));
  if (magic !== MAGIC) return "is no SQLite database";
  const version = new DataView(header.buffer).getUint32(USER_VERSION_AT);
  return version === 0 ? "has no schema yet" : undefined;
}

function isFree(path: string): boolean {
  using locks = new LockFile(path);
  for (let waited = 0; waited < LOCK_PATIENCE_MS; waited += LOCK_PAUSE_MS) {
    using lock = locks.tryHold(STORE_BYTE);
    if (lock) return true;
    Bun.sleepSync(LOCK_PAUSE_MS);
  }
  return false;
}
