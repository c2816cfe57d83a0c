// The store: which attachment holds which address, on tmpfs, in one SQLite database for each network.
// That no address and no attachment is there twice is the database's promise, not this code's.
import { type Address, addressFromBytes } from "../address.ts";
import type { Attachment } from "../attachment.ts";
import { listDirectory, makeDirectories, removeFile, renameFile } from "../directories.ts";
import { assertRoom, findEntry, findStatus } from "../files.ts";
import { removeEmptyDirectory, SystemError } from "../libc.ts";
import { LockFile } from "../lock.ts";
import type { Database, Row, Value } from "../sqlite.ts";
import { timed } from "../trace.ts";
import {
  attachmentIn,
  attempt,
  copyDatabase,
  insertIntent,
  insertLease,
  isDamage,
  newInMemory,
  openDatabase,
  StoreError,
  transact,
  viewDatabase,
} from "./database.ts";
import {
  choices,
  confirmed,
  type Holding,
  type Intent,
  type Lease,
  type LeaseRequest,
  type Witness,
} from "./lease.ts";
import { Pool } from "./pool.ts";
import type { RangeSet } from "./range.ts";

const DATABASE = "leases.db";
const LOCKS = "lock";
// Bytes of the lock file. Byte 0 orders the transactions; each attachment has one of the 2^62 after it.
const STORE_BYTE = 0n;
const ATTACHMENT_BYTES = 1n << 62n;

type Locks = Pick<LockFile, "hold" | "tryHold" | typeof Symbol.dispose> & { readonly descriptor?: number };

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
  readonly #isReader: boolean;
  #opened: Database | undefined;
  /** Of the database that is open; one in memory has none. */
  #identity: string | undefined;

  private constructor(
    network: string,
    directory: string,
    locks: Locks,
    witness: Witness | undefined,
    isReader = false,
  ) {
    this.network = network;
    this.#directory = directory;
    this.#locks = locks;
    this.#witness = witness;
    this.#isReader = isReader;
  }

  /** Opens the network's store, making it (0700, 0600) if need be. Throws a StoreError. */
  static open(stateDir: string, network: string, witness?: Witness): Store {
    const directory = directoryOf(stateDir, network);
    return attempt(`open the store in ${directory}`, () => {
      return new Store(network, directory, openLocks(directory), witness);
    });
  }

  /**
   * Opens the network's store for reading. Nothing is made or mended: where there is none, or an empty one, or a damaged
   * one and a witness, it is read as what `open` would begin with. Throws a StoreError.
   */
  static read(stateDir: string, network: string, witness?: Witness): Store {
    const directory = directoryOf(stateDir, network);
    return attempt(`open the store in ${directory}`, () => {
      return new Store(network, directory, openLocks(directory), witness, true);
    });
  }

  /**
   * A copy in memory of the network's store as it is now, sound from end to end: what is done to it leaves no traces.
   * Where there is none, or a damaged one and a witness, it is what `open` would begin with. Throws a StoreError.
   */
  static copy(stateDir: string, network: string, witness?: Witness): Store {
    const directory = directoryOf(stateDir, network);
    const path = `${directory}/${DATABASE}`;
    const store = new Store(network, directory, NO_LOCKS, witness);
    store.#opened = attempt(`read the store in ${directory}`, () => {
      // A file that is there belongs to a store, and a store has locks.
      using locks = findStatus(path) ? openLocks(directory) : NO_LOCKS;
      using _ = locks.hold(STORE_BYTE);
      return copyDatabase(path, witness);
    });
    return store;
  }

  /** Whether the network has a store: without one, or with an empty file, nothing is known to be held. */
  static exists(stateDir: string, network: string): boolean {
    return (findStatus(`${directoryOf(stateDir, network)}/${DATABASE}`)?.bytes ?? 0) > 0;
  }

  /** Waits for all other verbs on this attachment; they wait until the answer is disposed of. */
  lock(attachmentNumber: bigint): Disposable {
    return timed("wait for the attachment", () => this.#locks.hold(byteOf(attachmentNumber)));
  }

  /** Like `lock`, but `undefined` at once when another verb is at work on the attachment. */
  tryLock(attachmentNumber: bigint): Disposable | undefined {
    return this.#locks.tryHold(byteOf(attachmentNumber));
  }

  /** Of the locks: a process that inherits it holds what is held of them, should this one die. */
  get descriptor(): number | undefined {
    return this.#locks.descriptor;
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
      if (held !== undefined && held.length > 0) {
        const addresses = confirmed(held, requested, attachment);
        insertIntent(this.#database, request); // the MTU may be another by now
        return addresses;
      }
      isNew = true;
      const id = insertIntent(this.#database, request);
      return choices(request).map(({ set, wish }) => this.#pool.lease(id, set, wish, request.isInUse));
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

  /**
   * Keeps what another IPAM plugin answered, so that a repeated ADD answers the same. Registers the attachment where a
   * store that was made anew meanwhile does not know it.
   */
  keepDelegated(intent: Intent, delegated: string): void {
    this.#transact(() => {
      const id = insertIntent(this.#database, intent);
      this.#run("UPDATE attachment SET delegated = ? WHERE id = ?", delegated, id);
    });
  }

  /** Forgets what another IPAM plugin answered. */
  forgetDelegated({ containerId, ifName }: Attachment): void {
    this.#transact(() => {
      const change = "UPDATE attachment SET delegated = NULL WHERE container_id = ? AND if_name = ?";
      this.#run(change, containerId, ifName);
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
      const freed = this.#pool.nextFreed();
      this.#run("UPDATE address SET held_by = NULL, freed = ? WHERE held_by = ?", freed, row.id as number);
      this.#run("DELETE FROM attachment WHERE id = ?", row.id as number);
    });
  }

  /** Whether each set has an address left to give; throws a LeaseError that names the first that has none. */
  assertAvailable(sets: readonly RangeSet[]): void {
    this.#alone("read", () => {
      for (const set of sets) this.#pool.assertAvailable(set);
    });
  }

  [Symbol.dispose](): void {
    this.#opened?.[Symbol.dispose]();
    this.#locks[Symbol.dispose]();
  }

  #all(tail: string, ...values: Value[]): Holding[] {
    const held = "(SELECT json_group_array(hex(address)) FROM address WHERE held_by = attachment.id)";
    const query = `SELECT *, ${held} AS addresses FROM attachment ${tail}`;
    return this.#database
      .query(query)
      .all(...values)
      .map((row) => ({
        attachment: attachmentIn(row, this.network),
        hostEnd: row.host_end as string,
        mtu: row.mtu as number,
        pod: (row.pod as string | null) ?? undefined,
        delegated: (row.delegated as string | null) ?? undefined,
        addresses: (JSON.parse(row.addresses as string) as string[]).map((hex) => {
          return addressFromBytes(Uint8Array.fromHex(hex));
        }),
      }));
  }

  #get(sql: string, ...values: Value[]): Row | null {
    return this.#database.query(sql).get(...values);
  }

  #run(sql: string, ...values: Value[]): void {
    this.#database.query(sql).run(...values);
  }

  #find({ containerId, ifName }: Attachment): Holding | undefined {
    return this.#all("WHERE container_id = ? AND if_name = ?", containerId, ifName)[0];
  }

  /** All or nothing, also when the process dies. */
  #transact<T>(work: () => T): T {
    return this.#alone("write", () => transact(this.#database, work));
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
    if (this.#identity !== undefined && this.#identity !== identityOf(this.#path)) this.#close();
    try {
      return work();
    } catch (error) {
      if (this.#witness === undefined || !isDamage(error)) throw error;
      if (this.#isReader) this.#forgo();
      else timed("rebuild the store", () => this.#replace());
      return work();
    }
  }

  /** Reads on in what a new one would begin with. */
  #forgo(): void {
    this.#close();
    this.#opened = newInMemory(this.#witness);
  }

  #replace(): string {
    const leases = this.#witness?.() ?? []; // if it fails, nothing was moved
    this.#close();
    const aside = `${this.#path}.corrupt-${new Date().toISOString().replaceAll(/[-:.]/g, "")}`;
    // First the journal: SQLite would roll it back into a new database that stands beside it.
    for (const part of ["-journal", ""]) {
      if (findStatus(this.#path + part)) renameFile(this.#path + part, aside + part);
    }
    this.#open(() => leases);
    return aside;
  }

  #open(witness: Witness | undefined): Database {
    this.#opened = (this.#isReader ? viewDatabase : openDatabase)(this.#path, witness);
    this.#identity = identityOf(this.#path);
    return this.#opened;
  }

  #close(): void {
    this.#opened?.[Symbol.dispose]();
    this.#opened = undefined;
    this.#identity = undefined;
  }

  get #database(): Database {
    return this.#opened ?? this.#open(this.#witness);
  }

  get #pool(): Pool {
    return new Pool(this.#database, this.network);
  }

  get #path(): string {
    return `${this.#directory}/${DATABASE}`;
  }
}

/** What a store consists of: with its journal, and with those that were found damaged. */
const PARTS = /^(leases\.db(\.corrupt-\w+)?(-journal)?|lock)$/;

/** The networks that have something of a store below the directory, be it a whole one or what is left of one. */
export function listStores(stateDir: string): string[] {
  if (!findStatus(stateDir)) return [];
  return listDirectory(stateDir)
    .filter((name) => isPlainStore(directoryOf(stateDir, name)))
    .sort();
}

/** Removes a network's store with all that it knows, when no verb is at work on it. Nothing else is removed. */
export function removeStore(stateDir: string, network: string): void {
  const directory = directoryOf(stateDir, network);
  using locks = openLocks(directory);
  using _ = locks.hold(STORE_BYTE);
  const names = listDirectory(directory).filter((name) => PARTS.test(name));
  // The journal after its database: by itself it is of no use. The lock last: until then others wait for it.
  for (const name of names.sort()) removeFile(`${directory}/${name}`);
  removeEmptyDirectory(directory);
}

function isPlainStore(directory: string): boolean {
  const isDirectory = findEntry(directory)?.kind === "directory";
  return isDirectory && listDirectory(directory).every((name) => PARTS.test(name));
}

/** For a copy, which is nobody else's. */
const NO_LOCKS: Locks = {
  hold: () => NO_LOCKS,
  tryHold: () => NO_LOCKS,
  [Symbol.dispose]: () => {},
};

function openLocks(directory: string): LockFile {
  const path = `${directory}/${LOCKS}`;
  try {
    return new LockFile(path);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ENOENT") throw error;
    makeDirectories(directory, 0o700);
    return new LockFile(path);
  }
}

function directoryOf(stateDir: string, network: string): string {
  return `${stateDir}/${network}`;
}

function byteOf(attachmentNumber: bigint): bigint {
  return 1n + (attachmentNumber % ATTACHMENT_BYTES);
}

function identityOf(path: string): string | undefined {
  return findStatus(path)?.identity;
}

/**
 * Whether a store could be written here, without writing: for STATUS, which leaves no traces. Throws a StoreError.
 */
export function assertWritable(stateDir: string, network: string): void {
  let directory = directoryOf(stateDir, network);
  while (!findStatus(directory) && directory !== "/")
    directory = directory.slice(0, directory.lastIndexOf("/")) || "/";
  attempt(`write in ${directory}`, () => assertRoom(directory));
}
