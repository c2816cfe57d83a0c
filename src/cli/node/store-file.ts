// A network's store, read without waiting for ever and without changing it: a store that is broken must be reported
// and not be made anew.
import { findStatus } from "../../files.ts";
import type { Holding } from "../../ipam/lease.ts";
import { Store } from "../../ipam/store.ts";
import { sleep } from "../../libc.ts";
import { LockFile } from "../../lock.ts";
import { join } from "../../paths.ts";

/** Every verb holds it for milliseconds; whoever holds it longer is stuck. */
const LOCK_PATIENCE_MS = 2000;
const LOCK_PAUSE_MS = 20;
/** The store's own (ipam/store.ts): byte 0 of the lock file orders its transactions. */
const STORE_BYTE = 0n;

export type Stored =
  | { readonly kind: "none" }
  | { readonly kind: "read"; readonly holdings: readonly Holding[] }
  | {
      readonly kind: "unreadable";
      readonly seen: string;
      /** "damaged" can be repaired; "busy": another process has it; "denied": we may not; "strange": none of these. */
      readonly obstacle: "damaged" | "busy" | "denied" | "strange";
    };

/** All that the network's store knows. Never throws for what is wrong with it. */
export function readStored(stateDir: string, network: string): Stored {
  const path = join(stateDir, network, "leases.db");
  try {
    if (!Store.exists(stateDir, network)) return { kind: "none" };
    // Reading would make it, and who looks makes nothing.
    if (!findStatus(join(stateDir, network, "lock"))) {
      return {
        kind: "unreadable",
        seen: `${join(stateDir, network, "lock")} is missing`,
        obstacle: "damaged",
      };
    }
    if (!isFree(join(stateDir, network, "lock"))) {
      const seen = `${path} has been locked by another process for ${LOCK_PATIENCE_MS / 1000} s`;
      return { kind: "unreadable", seen, obstacle: "busy" };
    }
    using store = Store.copy(stateDir, network);
    return { kind: "read", holdings: store.list() };
  } catch (error) {
    return { kind: "unreadable", seen: (error as Error).message, obstacle: obstacleOf(error) };
  }
}

function obstacleOf(error: unknown): Extract<Stored, { kind: "unreadable" }>["obstacle"] {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  if (code === "DAMAGED") return "damaged";
  return ["EACCES", "EPERM"].some((denial) => denial === code || denial === cause?.code)
    ? "denied"
    : "strange";
}

function isFree(path: string): boolean {
  using locks = new LockFile(path);
  for (let waited = 0; waited < LOCK_PATIENCE_MS; waited += LOCK_PAUSE_MS) {
    using lock = locks.tryHold(STORE_BYTE);
    if (lock) return true;
    sleep(LOCK_PAUSE_MS);
  }
  return false;
}
