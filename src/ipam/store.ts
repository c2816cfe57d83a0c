// The store: which attachment holds which address, on tmpfs, in one SQLite database for each network.
// That no address and no attachment is there twice is the database's promise, not this code's.
import { Database, type SQLQueryBindings } from "bun:sqlite";
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  statfsSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Address, addressBytes, addressFromBytes, formatAddress } from "../address.ts";
import { type Attachment, attachmentKey } from "../attachment.ts";
import { LockFile } from "../lock.ts";
import { timed } from "../trace.ts";
import { isLeasable, leasableCount, nextLeasable, type Range, type RangeSet, rangeName } from "./range.ts";

const DATABASE = "leases.db";
const LOCKS = "lock";
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

// Bytes of the lock file. Byte 0 orders the transactions; each attachment has one of the 2^62 after it.
const STORE_BYTE = 0n;
const ATTACHMENT_BYTES = 1n << 62n;

/** No address is left, or the one asked for cannot be given. Nothing was changed. */
export class LeaseError extends Error {
  override readonly name = "LeaseError";
  readonly code: "EXHAUSTED" | "UNAVAILABLE";

  constructor(code: "EXHAUSTED" | "UNAVAILABLE", message: string) {
    super(message);
    this.code = code;
  }
}

/** The store itself fails: cannot be made, opened, read or written; DAMAGED when what is written there is no store. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: "FAILED" | "DAMAGED";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = isDamage(options?.cause) ? "DAMAGED" : "FAILED";
  }
}

/** What is known of an attachment. */
export interface Holding {
  readonly attachment: Attachment;
  readonly hostEnd: string;
  /** Of both ends, when they were made. */
  readonly mtu: number;
  /** "namespace/name", where the runtime told. */
  readonly pod: string | undefined;
  /** Leased from our own ranges; empty where another IPAM plugin gives the addresses. */
  readonly addresses: readonly Address[];
  /** What another IPAM plugin answered, as JSON; absent before it did. */
  readonly delegated: string | undefined;
}

/** What is written down before the kernel is touched: from it DEL, GC or the next ADD finish what a crash left. */
export type Intent = Pick<Holding, "attachment" | "hostEnd" | "mtu" | "pod">;

/** An attachment with the addresses it is seen to hold. */
export type Lease = Intent & Pick<Holding, "addresses">;

/**
 * The leases of a network as others know them (the kernel does), for a store that has just been made: it may be one
 * that was lost. Asked then, and only then.
 */
export type Witness = () => readonly Lease[];

export interface LeaseRequest extends Intent {
  readonly sets: readonly RangeSet[];
  /** Addresses that must be among those given. */
  readonly requested: readonly Address[];
  /** The second witness: whether the host uses an address although the store does not know it. */
  readonly isInUse: (address: Address) => boolean;
}

type Locks = Pick<LockFile, "hold" | "tryHold" | typeof Symbol.dispose>;

/**
 * Open for one verb's time. Whoever reads or writes queues at a lock, so SQLite never answers "busy", nobody
 * polls, and nobody is starved. The database is opened by the first who needs it.
 *
 * With a witness the store outlives its database. One that is lost or emptied begins anew with what the witness tells,
 * and so does one that SQLite finds damaged, which is moved aside. Nothing is given twice for it: what was leased but
 * is in nobody's hands in the kernel yet is unknown to the new one, and then the kernel refuses the second route.
 */
export class Store implements Disposable {
  readonly network: string;
  readonly #directory: string;
  readonly #locks: Locks;
  readonly #witness: Witness | undefined;
  #opened: Database | undefined;
  /** Of the database that is open; that of a copy has none. */
  #inode: number | undefined;

  private constructor(network: string, directory: string, locks: Locks, witness?: Witness) {
    this.network = network;
    this.#directory = directory;
    this.#locks = locks;
    this.#witness = witness;
  }

  /** Opens the network's store, making it (0700, 0600) if need be. Throws a StoreError. */
  static open(stateDir: string, network: string, witness?: Witness): Store {
    const directory = join(stateDir, network);
    return attempt(`open the store in ${directory}`, () => {
      return new Store(network, directory, openLocks(directory), witness);
    });
  }

  /**
   * A copy in memory of the network's store as it is now, sound from end to end: what is done to it leaves no traces.
   * Where there is none, or a damaged one and a witness, it is what `open` would begin with. Throws a StoreError.
   */
  static copy(stateDir: string, network: string, witness?: Witness): Store {
    const directory = join(stateDir, network);
    const store = new Store(network, directory, NO_LOCKS, witness);
    store.#opened = attempt(`read the store in ${directory}`, () => copyDatabase(directory, witness));
    return store;
  }

  /** Whether the network has a store: without one, or with an empty file, nothing is known to be held. */
  static exists(stateDir: string, network: string): boolean {
    return (statSync(join(stateDir, network, DATABASE), { throwIfNoEntry: false })?.size ?? 0) > 0;
  }

  /** Waits for all other verbs on this attachment; they wait until the answer is disposed of. */
  lock(attachmentNumber: bigint): Disposable {
    return timed("wait for the attachment", () => this.#locks.hold(byteOf(attachmentNumber)));
  }

  /** Like `lock`, but `undefined` at once when another verb is at work on the attachment. */
  tryLock(attachmentNumber: bigint): Disposable | undefined {
    return this.#locks.tryHold(byteOf(attachmentNumber));
  }

  find(attachment: Attachment): Holding | undefined {
    return this.#alone("read", () => this.#find(attachment));
  }

  list(): Holding[] {
    return this.#alone("read", () => this.#all("ORDER BY id"));
  }

  isEmpty(): boolean {
    return this.#alone("read", () => this.#get("SELECT 1 FROM attachment LIMIT 1") === null);
  }

  /**
   * Records the attachment and gives it one address of each set, or all that it holds already. Requested
   * addresses are given or refused, never replaced. All in one transaction: after a crash at any instant the
   * record is there whole or not at all. Throws a LeaseError.
   */
  acquire(request: LeaseRequest): readonly Address[] {
    const { attachment, requested } = request;
    let isNew = false;
    const lease = () => {
      const held = this.#find(attachment)?.addresses;
      if (held !== undefined && held.length > 0) return confirmed(held, requested, attachment);
      isNew = true;
      const id = insertIntent(this.#database, request);
      return choices(request).map(({ set, wish }) => this.#lease(id, set, wish, request.isInUse));
    };
    try {
      return this.#transact(lease);
    } catch (error) {
      // What fails after all was written (SQLite unlocks then) has been written nevertheless.
      if (isNew && error instanceof StoreError) this.#forget(attachment);
      throw error;
    }
  }

  /** On the way out of a failure, which is what is reported. */
  #forget(attachment: Attachment): void {
    try {
      this.release(attachment);
    } catch {
      // DEL comes to finish what this could not.
    }
  }

  /** Records the attachment without addresses, before another IPAM plugin is asked for them. Idempotent. */
  register(intent: Intent): void {
    this.#transact(() => insertIntent(this.#database, intent));
  }

  /** Keeps what another IPAM plugin answered, so that a repeated ADD answers the same; `undefined` forgets it. */
  keepDelegated({ containerId, ifName }: Attachment, delegated: string | undefined): void {
    this.#transact(() => {
      const change = "UPDATE attachment SET delegated = ? WHERE container_id = ? AND if_name = ?";
      this.#run(change, delegated ?? null, containerId, ifName);
    });
  }

  /** Records what an attachment is seen to hold. Idempotent; an address that another holds stays with that one. */
  adopt(lease: Lease): void {
    this.#transact(() => insertLease(this.#database, lease));
  }

  /** Moves the database aside, whatever its state, and begins a new one. Returns where the old one is. */
  rebuild(): string {
    return this.#alone("write", () => this.#replace());
  }

  /** Forgets the attachment; its addresses join the end of the queue. What is not there is no error. */
  release({ containerId, ifName }: Attachment): void {
    this.#transact(() => {
      const row = this.#get(
        "SELECT id FROM attachment WHERE container_id = ? AND if_name = ?",
        containerId,
        ifName,
      );
      if (row === null) return;
      const freed = this.#nextFreed();
      this.#run("UPDATE address SET held_by = NULL, freed = ? WHERE held_by = ?", freed, row.id as number);
      this.#run("DELETE FROM attachment WHERE id = ?", row.id as number);
    });
  }

  /** Whether each set has an address left to give; throws a LeaseError that names the first that has none. */
  assertAvailable(sets: readonly RangeSet[]): void {
    this.#alone("read", () => {
      for (const set of sets) {
        const fresh = set.some((range) => first(this.#fresh(range)) !== undefined);
        if (!fresh && first(this.#oldestFreed(set)) === undefined) throw this.#exhausted(set);
      }
    });
  }

  [Symbol.dispose](): void {
    this.#opened?.close();
    this.#locks[Symbol.dispose]();
  }

  #lease(id: number, set: RangeSet, wish: Address | undefined, isInUse: LeaseRequest["isInUse"]): Address {
    const address = wish
      ? this.#wished(wish, isInUse)
      : (this.#pickFresh(set, isInUse) ?? this.#pickFreed(set, isInUse));
    if (address === undefined) throw this.#exhausted(set);
    this.#run(
      `INSERT INTO address (address, held_by) VALUES (?, ?)
       ON CONFLICT DO UPDATE SET held_by = excluded.held_by, freed = NULL`,
      addressBytes(address),
      id,
    );
    return address;
  }

  #wished(address: Address, isInUse: LeaseRequest["isInUse"]): Address {
    const holder = this.#holder(address);
    if (holder) throw unavailable(address, `it is held by ${attachmentKey(holder)}`);
    if (isInUse(address)) throw unavailable(address, "the host has a route to it already");
    return address;
  }

  /** An address that was never given before. */
  #pickFresh(set: RangeSet, isInUse: LeaseRequest["isInUse"]): Address | undefined {
    for (const range of set) {
      for (const address of this.#fresh(range)) {
        if (isInUse(address)) {
          // Somebody's whom the store does not know: it comes up again when its turn among the freed is there.
          const queue = "INSERT INTO address (address, freed) VALUES (?, ?)";
          this.#run(queue, addressBytes(address), this.#nextFreed());
          continue;
        }
        this.#moveCursor(range, address.value + 1n);
        return address;
      }
      this.#moveCursor(range, range.last + 1n);
    }
    return undefined;
  }

  /** The address that has been free for the longest time. */
  #pickFreed(set: RangeSet, isInUse: LeaseRequest["isInUse"]): Address | undefined {
    for (const address of this.#oldestFreed(set)) if (!isInUse(address)) return address;
    return undefined;
  }

  *#oldestFreed(set: RangeSet): Generator<Address> {
    const query = "SELECT address FROM address WHERE held_by IS NULL ORDER BY freed";
    for (const row of this.#database.query<Row, []>(query).iterate()) {
      const address = addressFromBytes(row.address as Uint8Array);
      if (set.some((range) => isLeasable(range, address))) yield address;
    }
  }

  /** The range's addresses that were never given, in order. Others were, if requested or through another range. */
  *#fresh(range: Range): Generator<Address> {
    let address = this.#cursor(range);
    for (; address; address = nextLeasable(range, address.value + 1n)) {
      const known = this.#get("SELECT 1 FROM address WHERE address = ?", addressBytes(address));
      if (known === null) yield address;
    }
  }

  /** No address before it is fresh; `undefined` when none is. */
  #cursor(range: Range): Address | undefined {
    const row = this.#get("SELECT next FROM cursor WHERE range = ?", rangeName(range));
    if (row === null) return nextLeasable(range, range.first);
    const next = row.next as Uint8Array | null;
    return next === null ? undefined : nextLeasable(range, addressFromBytes(next).value);
  }

  #moveCursor(range: Range, value: bigint): void {
    const next = value > range.last ? null : addressBytes({ family: range.family, value });
    const move =
      "INSERT INTO cursor (range, next) VALUES (?, ?) ON CONFLICT DO UPDATE SET next = excluded.next";
    this.#run(move, rangeName(range), next);
  }

  #holder(address: Address): Attachment | undefined {
    const row = this.#get(
      `SELECT container_id, if_name FROM attachment JOIN address ON held_by = id WHERE address = ?`,
      addressBytes(address),
    );
    return row ? this.#attachment(row) : undefined;
  }

  #nextFreed(): number {
    const row = this.#get("SELECT coalesce(max(freed), 0) + 1 AS next FROM address WHERE held_by IS NULL");
    return row?.next as number;
  }

  #exhausted(set: RangeSet): LeaseError {
    const names = set.map(rangeName).join(" or ");
    return new LeaseError(
      "EXHAUSTED",
      `Cannot lease an address from ${names}: all ${leasableCount(set)} are in use`,
    );
  }

  #all(tail: string, ...values: SQLQueryBindings[]): Holding[] {
    const held = "(SELECT json_group_array(hex(address)) FROM address WHERE held_by = attachment.id)";
    const query = `SELECT *, ${held} AS addresses FROM attachment ${tail}`;
    return this.#database
      .query<Row, SQLQueryBindings[]>(query)
      .all(...values)
      .map((row) => ({
        attachment: this.#attachment(row),
        hostEnd: row.host_end as string,
        mtu: row.mtu as number,
        pod: (row.pod as string | null) ?? undefined,
        delegated: (row.delegated as string | null) ?? undefined,
        addresses: (JSON.parse(row.addresses as string) as string[]).map((hex) => {
          return addressFromBytes(Uint8Array.fromHex(hex));
        }),
      }));
  }

  #attachment(row: Row): Attachment {
    const { network } = this;
    return { network, containerId: row.container_id as string, ifName: row.if_name as string };
  }

  #get(sql: string, ...values: SQLQueryBindings[]): Row | null {
    return this.#database.query<Row, SQLQueryBindings[]>(sql).get(...values);
  }

  #run(sql: string, ...values: SQLQueryBindings[]): void {
    this.#database.query(sql).run(...values);
  }

  #find({ containerId, ifName }: Attachment): Holding | undefined {
    return this.#all("WHERE container_id = ? AND if_name = ?", containerId, ifName)[0];
  }

  /** All or nothing, also when the process dies. */
  #transact<T>(work: () => T): T {
    return this.#alone("write", () => this.#database.transaction(work).immediate());
  }

  /** One at a time on this host. */
  #alone<T>(verb: "read" | "write", work: () => T): T {
    return attempt(`${verb} the store in ${this.#directory}`, () => {
      using _ = timed("wait for the store", () => this.#locks.hold(STORE_BYTE));
      return timed(`${verb} the store`, () => this.#surviving(work));
    });
  }

  /** Damage to the database costs the database, not the work: once. */
  #surviving<T>(work: () => T): T {
    // Somebody else may have replaced it meanwhile, and nobody looks into the old one any more.
    if (this.#inode !== undefined && this.#inode !== inodeOf(this.#path)) this.#close();
    try {
      return work();
    } catch (error) {
      if (this.#witness === undefined || !isDamage(error)) throw error;
      timed("rebuild the store", () => this.#replace());
      return work();
    }
  }

  #replace(): string {
    const leases = this.#witness?.() ?? []; // if it fails, nothing was moved
    this.#close();
    const aside = `${this.#path}.corrupt-${new Date().toISOString().replaceAll(/[-:.]/g, "")}`;
    // First the journal: SQLite would roll it back into a new database that stands beside it.
    for (const part of ["-journal", ""]) {
      if (existsSync(this.#path + part)) renameSync(this.#path + part, aside + part);
    }
    this.#open(() => leases);
    return aside;
  }

  #open(witness: Witness | undefined): Database {
    this.#opened = openDatabase(this.#path, witness);
    this.#inode = inodeOf(this.#path);
    return this.#opened;
  }

  #close(): void {
    this.#opened?.close();
    this.#opened = undefined;
    this.#inode = undefined;
  }

  get #database(): Database {
    return this.#opened ?? this.#open(this.#witness);
  }

  get #path(): string {
    return join(this.#directory, DATABASE);
  }
}

/** For a copy, which is nobody else's. */
const NO_LOCKS: Locks = {
  hold: () => NO_LOCKS,
  tryHold: () => NO_LOCKS,
  [Symbol.dispose]: () => {},
};

function openLocks(directory: string): LockFile {
  const path = join(directory, LOCKS);
  try {
    return new LockFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return new LockFile(path);
  }
}

function byteOf(attachmentNumber: bigint): bigint {
  return 1n + (attachmentNumber % ATTACHMENT_BYTES);
}

type Row = Record<string, SQLQueryBindings>;

/**
 * Whether a store could be written here, without writing: for STATUS, which leaves no traces. Throws a StoreError.
 */
export function assertWritable(stateDir: string, network: string): void {
  let directory = join(stateDir, network);
  while (!existsSync(directory) && dirname(directory) !== directory) directory = dirname(directory);
  attempt(`write in ${directory}`, () => {
    accessSync(directory, constants.W_OK | constants.X_OK);
    if (statfsSync(directory).bavail === 0) throw new Error("no space left on device");
  });
}

function openDatabase(path: string, witness: Witness | undefined): Database {
  // SQLite would make it for all to read, and gives the journal the same mode.
  closeSync(openSync(path, "a", 0o600));
  const database = new Database(path, { create: true, strict: true });
  try {
    // The tmpfs dies with the kernel state it describes, so nothing need reach a disk; the journal is for kill -9.
    database.run("PRAGMA synchronous = OFF");
    database.run("PRAGMA journal_mode = TRUNCATE");
    if (isEmptyDatabase(database)) begin(database, witness?.() ?? []);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function copyDatabase(directory: string, witness: Witness | undefined): Database {
  const path = join(directory, DATABASE);
  if (existsSync(path)) {
    // A file that is there belongs to a store, and a store has locks.
    using locks = new LockFile(join(directory, LOCKS));
    using _ = locks.hold(STORE_BYTE);
    try {
      using original = new Database(path, { readwrite: true, create: false, strict: true });
      assertSound(original);
      if (!isEmptyDatabase(original)) return Database.deserialize(original.serialize(), { strict: true });
    } catch (error) {
      if (witness === undefined || !isDamage(error)) throw error;
    }
  }
  const database = new Database(":memory:", { strict: true });
  begin(database, witness?.() ?? []);
  return database;
}

/** Whether nothing was ever written to it. Throws when another slash32 wrote it. */
function isEmptyDatabase(database: Database): boolean {
  const [[version]] = database.query("PRAGMA user_version").values() as [[number]];
  if (version === 0) return true;
  if (version === SCHEMA_VERSION) return false;
  throw new Error(`its schema is version ${version}, this slash32 knows version ${SCHEMA_VERSION}`);
}

/** SQLite itself reads only what it needs, and meets damage late. */
function assertSound(database: Database): void {
  const [[verdict]] = database.query("PRAGMA integrity_check(1)").values() as [[string]];
  if (verdict !== "ok") throw new DamageError(verdict.replaceAll("\n", " "));
}

/** What is written is no database of ours any more. */
class DamageError extends Error {}

function isDamage(error: unknown): boolean {
  const code = String((error as { code?: unknown } | undefined)?.code);
  return error instanceof DamageError || code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT");
}

/** All or nothing: a process that dies in it leaves an empty database. */
function begin(database: Database, leases: readonly Lease[]): void {
  const work = () => {
    database.run(SCHEMA);
    for (const lease of leases) insertLease(database, lease);
  };
  database.transaction(work).immediate();
}

function insertLease(database: Database, lease: Lease): void {
  const id = insertIntent(database, lease);
  const insert = database.query(
    `INSERT INTO address (address, held_by) VALUES (?, ?)
     ON CONFLICT DO UPDATE SET held_by = excluded.held_by, freed = NULL WHERE held_by IS NULL`,
  );
  for (const address of lease.addresses) insert.run(addressBytes(address), id);
}

function insertIntent(database: Database, { attachment, hostEnd, mtu, pod }: Intent): number {
  const { containerId, ifName } = attachment;
  const row = database
    .query<Row, SQLQueryBindings[]>(
      `INSERT INTO attachment (container_id, if_name, host_end, mtu, pod) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET host_end = excluded.host_end, mtu = excluded.mtu RETURNING id`,
    )
    .get(containerId, ifName, hostEnd, mtu, pod ?? null);
  return row?.id as number;
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Lets go of the rest: a query that is left half-read would keep every other process from writing. */
function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}

/** Which wish goes to which set. A wish that no set can serve is refused before anything is written. */
function choices({
  sets,
  requested,
  attachment,
}: LeaseRequest): { set: RangeSet; wish: Address | undefined }[] {
  const left = [...requested];
  const chosen = sets.map((set) => {
    const at = left.findIndex((address) => set.some((range) => isLeasable(range, address)));
    return { set, wish: at < 0 ? undefined : left.splice(at, 1)[0] };
  });
  const [stray] = left;
  if (stray) {
    const ranges = sets.flat().map(rangeName).join(", ");
    throw unavailable(stray, `it is reserved, or not in ${ranges}, for ${attachmentKey(attachment)}`);
  }
  return chosen;
}

function confirmed(
  held: readonly Address[],
  requested: readonly Address[],
  attachment: Attachment,
): readonly Address[] {
  const names = held.map(formatAddress);
  const stray = requested.find((address) => !names.includes(formatAddress(address)));
  if (stray) throw unavailable(stray, `${attachmentKey(attachment)} holds ${names.join(" and ")} already`);
  return held;
}

function unavailable(address: Address, reason: string): LeaseError {
  return new LeaseError(
    "UNAVAILABLE",
    `Cannot lease the requested address ${formatAddress(address)}: ${reason}`,
  );
}

/** Names what was tried; what the store's own rules refused passes as it is. */
function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof LeaseError || error instanceof StoreError) throw error;
    throw new StoreError(`Cannot ${what}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
