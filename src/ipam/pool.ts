// The pool: which address is given next. Works inside the store's transactions.
import { type Address, addressBytes, addressFromBytes, formatAddress } from "../address.ts";
import { attachmentKey } from "../attachment.ts";
import type { Database, Row, Value } from "../sqlite.ts";
import { attachmentIn } from "./database.ts";
import { LeaseError, type LeaseRequest, unavailable } from "./lease.ts";
import { isLeasable, leasableCount, nextLeasable, type Range, type RangeSet, rangeName } from "./range.ts";

export class Pool {
  readonly #database: Database;
  readonly #network: string;

  constructor(database: Database, network: string) {
    this.#database = database;
    this.#network = network;
  }

  /** Gives the row `id` an address of the set: the one wished for, else a fresh one, else the longest free. Throws a LeaseError. */
  lease(id: number, set: RangeSet, wish: Address | undefined, isInUse: LeaseRequest["isInUse"]): Address {
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
    if (holder !== undefined) throw unavailable(address, `it is held by ${holder}`);
    if (isInUse(address)) throw unavailable(address, "the host has a route to it already");
    return address;
  }

  /** An address that was never given before. */
  #pickFresh(set: RangeSet, isInUse: LeaseRequest["isInUse"]): Address | undefined {
    for (const range of set) {
      const cursor = cursorName(range);
      let address = this.#fresh(range, this.#next(cursor, range));
      for (; address; address = this.#fresh(range, nextLeasable(range, address.value + 1n))) {
        if (!isInUse(address)) {
          this.#move(cursor, range, address.value + 1n);
          return address;
        }
        // Somebody's whom the store does not know: it comes up again when its turn among the freed is there.
        const queue = "INSERT INTO address (address, freed) VALUES (?, ?)";
        this.#run(queue, addressBytes(address), this.nextFreed());
      }
      this.#move(cursor, range, range.last + 1n);
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
    for (const row of this.#database.query(query).iterate()) {
      const address = addressFromBytes(row.address as Uint8Array);
      if (set.some((range) => isLeasable(range, address))) yield address;
    }
  }

  /** The range's first address from `from` on that was never given. Others were, if requested or through another range. */
  #fresh(range: Range, from: Address | undefined): Address | undefined {
    const known = "SELECT 1 FROM address WHERE address = ?";
    let address = from;
    while (address && this.#get(known, addressBytes(address)) !== null) {
      address = nextLeasable(range, address.value + 1n);
    }
    return address;
  }

  /** Where a cursor of the range is. No leasable address before it is fresh; `undefined` when none is. */
  #next(cursor: string, range: Range): Address | undefined {
    const row = this.#get("SELECT next FROM cursor WHERE range = ?", cursor);
    if (row === null) return nextLeasable(range, range.first);
    const next = row.next as Uint8Array | null;
    return next === null ? undefined : nextLeasable(range, addressFromBytes(next).value);
  }

  #move(cursor: string, range: Range, value: bigint): void {
    const next = value > range.last ? null : addressBytes({ family: range.family, value });
    const move =
      "INSERT INTO cursor (range, next) VALUES (?, ?) ON CONFLICT DO UPDATE SET next = excluded.next";
    this.#run(move, cursor, next);
  }

  #holder(address: Address): string | undefined {
    const row = this.#get(
      "SELECT container_id, if_name FROM attachment JOIN address ON held_by = id WHERE address = ?",
      addressBytes(address),
    );
    return row ? attachmentKey(attachmentIn(row, this.#network)) : undefined;
  }

  /** The number that puts an address at the end of the queue of the freed. */
  nextFreed(): number {
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

  /** Throws a LeaseError when the set has no address left to give. */
  assertAvailable(set: RangeSet): void {
    const fresh = set.some((range) => this.#fresh(range, this.#next(cursorName(range), range)) !== undefined);
    if (!fresh && first(this.#oldestFreed(set)) === undefined) throw this.#exhausted(set);
  }

  #get(sql: string, ...values: Value[]): Row | null {
    return this.#database.query(sql).get(...values);
  }

  #run(sql: string, ...values: Value[]): void {
    this.#database.query(sql).run(...values);
  }
}

/** What is leasable in a range is part of it: an address that is reserved no longer may lie before the old cursor. */
function cursorName(range: Range): string {
  const { family, reserved } = range;
  const spans = reserved.map(({ first, last }) => {
    const name = formatAddress({ family, value: first });
    return first === last ? name : `${name}-${formatAddress({ family, value: last })}`;
  });
  return [rangeName(range), ...spans].join(" without ");
}

/** Lets go of the rest: a query that is left half-read would keep every other process from writing. */
function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}
