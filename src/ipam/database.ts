// The database of a network's store: its schema, and what becomes of one that is new, lost or damaged.
import { addressBytes } from "../address.ts";
import type { Attachment } from "../attachment.ts";
import { findStatus, O_APPEND, O_CREAT, O_WRONLY, withFile } from "../files.ts";
import { Database, type Row } from "../sqlite.ts";
import { type Intent, type Lease, LeaseError, type Witness } from "./lease.ts";

const SCHEMA_VERSION = 1;

/**
 * `held_by` null is a freed address, waiting at the end of the queue that `freed` orders.
 * `cursor.next` null is a range whose every address was given once.
 */
const SCHEMA = `
CREATE TABLE attachment (
  id INTEGER PRIMARY KEY,
  container_id TEXT NOT NULL,
  if_name TEXT NOT NULL,
  host_end TEXT NOT NULL,
  mtu INTEGER NOT NULL,
  pod TEXT,
  delegated TEXT,
  UNIQUE (container_id, if_name)
) STRICT;
CREATE TABLE address (
  address BLOB PRIMARY KEY,
  held_by INTEGER REFERENCES attachment (id),
  freed INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX address_held_by ON address (held_by) WHERE held_by IS NOT NULL;
CREATE INDEX address_freed ON address (freed) WHERE held_by IS NULL;
CREATE TABLE cursor (range TEXT PRIMARY KEY, next BLOB) STRICT, WITHOUT ROWID;
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * The store itself fails: cannot be made, opened, read or written; DAMAGED when what is written there is no store, FOREIGN
 * when it is that of another version of slash32.
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: "FAILED" | "DAMAGED" | "FOREIGN";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    const cause = options?.cause;
    this.code = isDamage(cause) ? "DAMAGED" : cause instanceof SchemaError ? "FOREIGN" : "FAILED";
  }
}

/** Opens it for the holder of the store's lock, making it (0600) if need be; a new one begins with what the witness tells. */
export function openDatabase(path: string, witness: Witness | undefined): Database {
  // SQLite would make it for all to read, and gives the journal the same mode.
  withFile(path, O_WRONLY | O_APPEND | O_CREAT, () => {});
  const database = new Database(path, { create: true });
  try {
    // The tmpfs dies with the kernel state it describes, so nothing need reach a disk; the journal is for kill -9.
    database.run("PRAGMA synchronous = OFF");
    database.run("PRAGMA journal_mode = TRUNCATE");
    if (isEmptyDatabase(database)) begin(database, witness?.() ?? []);
    return database;
  } catch (error) {
    database[Symbol.dispose]();
    throw error;
  }
}

/** For who only looks: nothing is made of what is missing or empty, which is read as what a new one would begin with. */
export function viewDatabase(path: string, witness: Witness | undefined): Database {
  if (!findStatus(path)) return newInMemory(witness);
  using undo = new DisposableStack();
  const database = undo.use(new Database(path));
  if (isEmptyDatabase(database)) return newInMemory(witness);
  undo.move(); // the caller closes it
  return database;
}

/** A copy in memory, sound from end to end; of none, or of a damaged one, what a new one would begin with. */
export function copyDatabase(path: string, witness: Witness | undefined): Database {
  try {
    if (findStatus(path)) {
      using original = new Database(path);
      assertSound(original);
      if (!isEmptyDatabase(original)) return Database.deserialize(original.serialize());
    }
  } catch (error) {
    if (witness === undefined || !isDamage(error)) throw error;
  }
  return newInMemory(witness);
}

/** What a new one would begin with. */
export function newInMemory(witness: Witness | undefined): Database {
  const database = new Database(":memory:", { create: true });
  begin(database, witness?.() ?? []);
  return database;
}

/** Whether nothing was ever written to it. Throws when another slash32 wrote it. */
function isEmptyDatabase(database: Database): boolean {
  const version = database.query("PRAGMA user_version").get()?.user_version;
  if (version === 0) return true;
  if (version === SCHEMA_VERSION) return false;
  throw new SchemaError(`its schema is version ${version}, this slash32 knows version ${SCHEMA_VERSION}`);
}

/** SQLite itself reads only what it needs, and meets damage late. */
function assertSound(database: Database): void {
  const verdict = String(database.query("PRAGMA integrity_check(1)").get()?.integrity_check);
  if (verdict !== "ok") throw new DamageError(verdict.replaceAll("\n", " "));
}

/** What is written is no database of ours any more. */
class DamageError extends Error {}

/** What is written is a database of ours, and not of this version. */
class SchemaError extends Error {}

/** Whose row it is, in the network that the database is of. */
export function attachmentIn(row: Row, network: string): Attachment {
  return { network, containerId: row.container_id as string, ifName: row.if_name as string };
}

/** Whether what is written there is the trouble, and not that it cannot be read or written. */
export function isDamage(error: unknown): boolean {
  const code = String((error as { code?: unknown } | undefined)?.code);
  return error instanceof DamageError || code === "SQLITE_NOTADB" || code === "SQLITE_CORRUPT";
}

/** A process that dies in it leaves an empty database. */
function begin(database: Database, leases: readonly Lease[]): void {
  transact(database, () => {
    database.run(SCHEMA);
    for (const lease of leases) insertLease(database, lease);
  });
}

/** All or nothing, also when the process dies. */
export function transact<T>(database: Database, work: () => T): T {
  database.run("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.run("COMMIT");
    return result;
  } catch (error) {
    // After some errors SQLite has taken it back already.
    if (database.inTransaction) database.run("ROLLBACK");
    throw error;
  }
}

/** An address that another holds stays with that one. */
export function insertLease(database: Database, lease: Lease): void {
  const id = insertIntent(database, lease);
  const insert = database.query(
    `INSERT INTO address (address, held_by) VALUES (?, ?)
     ON CONFLICT DO UPDATE SET held_by = excluded.held_by, freed = NULL WHERE held_by IS NULL`,
  );
  for (const address of lease.addresses) insert.run(addressBytes(address), id);
}

/** Idempotent; returns the attachment's row. */
export function insertIntent(database: Database, { attachment, hostEnd, mtu, pod }: Intent): number {
  const { containerId, ifName } = attachment;
  const row = database
    .query(
      `INSERT INTO attachment (container_id, if_name, host_end, mtu, pod) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET host_end = excluded.host_end, mtu = excluded.mtu RETURNING id`,
    )
    .get(containerId, ifName, hostEnd, mtu, pod ?? null);
  return row?.id as number;
}

/** Names what was tried, where the store fails; what others answered in the middle of it (the kernel) passes as it is. */
export function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof LeaseError || error instanceof StoreError || !isOurs(error)) throw error;
    throw new StoreError(`Cannot ${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}

/** SQLite's errors, those of files and locks, and plain ones. */
function isOurs(error: unknown): boolean {
  const { name } = error as { name?: unknown };
  return ["SqliteError", "SystemError", "Error"].includes(String(name));
}
