// SQLite: one connection and its statements. Values are integers, texts, blobs and null; reals this program has none.
// Source: sqlite3.h.
import { dlopen, FFIType, type Pointer, ptr, toArrayBuffer } from "bun:ffi";
import { type ForeignPointer, textAt } from "./libc.ts";

const { symbols: sqlite } = dlopen("libsqlite3.so.0", {
  sqlite3_open_v2: { args: ["ptr", "ptr", "i32", "ptr"], returns: "i32" },
  sqlite3_close_v2: { args: ["ptr"], returns: "i32" },
  sqlite3_exec: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  sqlite3_prepare_v2: { args: ["ptr", "ptr", "i32", "ptr", "ptr"], returns: "i32" },
  sqlite3_finalize: { args: ["ptr"], returns: "i32" },
  sqlite3_reset: { args: ["ptr"], returns: "i32" },
  sqlite3_step: { args: ["ptr"], returns: "i32" },
  sqlite3_bind_null: { args: ["ptr", "i32"], returns: "i32" },
  sqlite3_bind_int64: { args: ["ptr", "i32", "i64"], returns: "i32" },
  sqlite3_bind_text: { args: ["ptr", "i32", "ptr", "i32", "i64"], returns: "i32" },
  sqlite3_bind_blob: { args: ["ptr", "i32", "ptr", "i32", "i64"], returns: "i32" },
  sqlite3_column_count: { args: ["ptr"], returns: "i32" },
  sqlite3_column_name: { args: ["ptr", "i32"], returns: "ptr" },
  sqlite3_column_type: { args: ["ptr", "i32"], returns: "i32" },
  sqlite3_column_int64: { args: ["ptr", "i32"], returns: FFIType.i64_fast },
  sqlite3_column_text: { args: ["ptr", "i32"], returns: "ptr" },
  sqlite3_column_blob: { args: ["ptr", "i32"], returns: "ptr" },
  sqlite3_column_bytes: { args: ["ptr", "i32"], returns: "i32" },
  sqlite3_errmsg: { args: ["ptr"], returns: "ptr" },
  sqlite3_errcode: { args: ["ptr"], returns: "i32" },
  sqlite3_errstr: { args: ["i32"], returns: "ptr" },
  sqlite3_get_autocommit: { args: ["ptr"], returns: "i32" },
  sqlite3_serialize: { args: ["ptr", "ptr", "ptr", "u32"], returns: "ptr" },
  sqlite3_deserialize: { args: ["ptr", "ptr", "ptr", "i64", "i64", "u32"], returns: "i32" },
  sqlite3_malloc64: { args: ["u64"], returns: "ptr" },
  sqlite3_free: { args: ["ptr"], returns: "void" },
});

const SQLITE_OPEN_READWRITE = 0x2;
const SQLITE_OPEN_CREATE = 0x4;
const SQLITE_ROW = 100;
const SQLITE_DONE = 101;
const SQLITE_INTEGER = 1;
const SQLITE_TEXT = 3;
const SQLITE_BLOB = 4;
const SQLITE_TRANSIENT = -1; // it makes a copy of what it is given
const SQLITE_DESERIALIZE_FREEONCLOSE = 1;
const SQLITE_DESERIALIZE_RESIZEABLE = 2;

/** Result codes from 1 on. */
const CODES =
  `ERROR INTERNAL PERM ABORT BUSY LOCKED NOMEM READONLY INTERRUPT IOERR CORRUPT NOTFOUND FULL CANTOPEN
PROTOCOL EMPTY SCHEMA TOOBIG CONSTRAINT MISMATCH MISUSE NOLFS AUTH FORMAT RANGE NOTADB`.split(/\s/);

export type Value = number | string | Uint8Array | null;
/** By column. */
export type Row = Readonly<Record<string, Value>>;

/** What SQLite refused, in its own words; `code` is "SQLITE_BUSY" and the like. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  readonly code: string;

  constructor(code: number, message: string) {
    super(message);
    this.code = `SQLITE_${CODES[code - 1] ?? code}`;
  }
}

/** A connection, for one process's one thread. The opener disposes of it. */
export class Database implements Disposable {
  readonly #handle: Pointer;
  readonly #statements = new Map<string, Statement>();

  /** Opens the database at a path (":memory:" is one of its own), making it if `create` says so. Throws a SqliteError. */
  constructor(path: string, { create = false } = {}) {
    const out = new BigUint64Array(1);
    const name = terminated(path);
    const flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    const code = sqlite.sqlite3_open_v2(ptr(name), ptr(out), flags, null);
    this.#handle = Number(out[0]) as Pointer;
    if (code === 0) return;
    const error = new SqliteError(code, this.#words(code));
    this[Symbol.dispose]();
    throw error;
  }

  /** A database in memory that begins as a copy of what `serialize` returned. */
  static deserialize(bytes: Uint8Array): Database {
    using undo = new DisposableStack();
    const database = undo.use(new Database(":memory:", { create: true }));
    // What it frees has to come from it.
    const copy = sqlite.sqlite3_malloc64(bytes.length);
    if (copy === null) throw new SqliteError(CODES.indexOf("NOMEM") + 1, "out of memory");
    new Uint8Array(toArrayBuffer(Number(copy) as Pointer, 0, bytes.length)).set(bytes);
    const flags = SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE;
    const length = bytes.length;
    database.#check(sqlite.sqlite3_deserialize(database.#handle, ptr(MAIN), copy, length, length, flags));
    undo.move();
    return database;
  }

  /** All of it, as it would be in a file. */
  serialize(): Uint8Array {
    const size = new BigInt64Array(1);
    const copy = sqlite.sqlite3_serialize(this.#handle, ptr(MAIN), ptr(size), 0);
    if (copy === null) throw this.#error();
    try {
      return bytesAt(copy, Number(size[0]));
    } finally {
      sqlite.sqlite3_free(Number(copy) as Pointer);
    }
  }

  /** Carries out statements that return nothing and have no values. Throws a SqliteError. */
  run(sql: string): void {
    const text = terminated(sql);
    this.#check(sqlite.sqlite3_exec(this.#handle, ptr(text), null, null, null));
  }

  /** A statement, made when it is first asked for. Throws a SqliteError. */
  query(sql: string): Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      const out = new BigUint64Array(1);
      const text = terminated(sql);
      this.#check(sqlite.sqlite3_prepare_v2(this.#handle, ptr(text), text.length, ptr(out), null));
      statement = new Statement(Number(out[0]) as Pointer, () => this.#error());
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Whether a BEGIN has had neither its COMMIT nor its ROLLBACK. */
  get inTransaction(): boolean {
    return sqlite.sqlite3_get_autocommit(this.#handle) === 0;
  }

  /** Once: what is asked of it after that would crash. */
  [Symbol.dispose](): void {
    for (const statement of this.#statements.values()) statement[Symbol.dispose]();
    sqlite.sqlite3_close_v2(this.#handle);
  }

  #check(code: number): void {
    if (code !== 0) throw this.#error();
  }

  #error(): SqliteError {
    const code = sqlite.sqlite3_errcode(this.#handle);
    return new SqliteError(code, this.#words(code));
  }

  #words(code: number): string {
    // Without a handle it was memory that was short.
    const words = this.#handle ? sqlite.sqlite3_errmsg(this.#handle) : sqlite.sqlite3_errstr(code);
    return textAt(words);
  }
}

/** Each method carries it out from its beginning, with values in the place of its question marks. */
export class Statement implements Disposable {
  readonly #handle: Pointer;
  readonly #error: () => SqliteError;
  #names: readonly string[] | undefined;

  constructor(handle: Pointer, error: () => SqliteError) {
    this.#handle = handle;
    this.#error = error;
  }

  /** The first row; `null` when there is none. */
  get(...values: readonly Value[]): Row | null {
    try {
      this.#bind(values);
      return this.#step() ? this.#row() : null;
    } finally {
      sqlite.sqlite3_reset(this.#handle);
    }
  }

  all(...values: readonly Value[]): Row[] {
    return [...this.iterate(...values)];
  }

  run(...values: readonly Value[]): void {
    this.get(...values);
  }

  /** Row by row. Read to its end or left: what is half-read keeps every other process from writing. */
  *iterate(...values: readonly Value[]): Generator<Row, void, undefined> {
    try {
      this.#bind(values);
      while (this.#step()) yield this.#row();
    } finally {
      sqlite.sqlite3_reset(this.#handle);
    }
  }

  [Symbol.dispose](): void {
    sqlite.sqlite3_finalize(this.#handle);
  }

  #bind(values: readonly Value[]): void {
    values.forEach((value, at) => {
      if (this.#bindOne(at + 1, value) !== 0) throw this.#error();
    });
  }

  #bindOne(at: number, value: Value): number {
    if (value === null) return sqlite.sqlite3_bind_null(this.#handle, at);
    if (typeof value === "number") return sqlite.sqlite3_bind_int64(this.#handle, at, value);
    if (typeof value === "string") {
      const text = terminated(value);
      return sqlite.sqlite3_bind_text(this.#handle, at, ptr(text), text.length - 1, SQLITE_TRANSIENT);
    }
    return sqlite.sqlite3_bind_blob(this.#handle, at, ptr(value), value.length, SQLITE_TRANSIENT);
  }

  /** Whether there is a row. */
  #step(): boolean {
    const code = sqlite.sqlite3_step(this.#handle);
    if (code !== SQLITE_ROW && code !== SQLITE_DONE) throw this.#error();
    return code === SQLITE_ROW;
  }

  #row(): Row {
    this.#names ??= Array.from({ length: sqlite.sqlite3_column_count(this.#handle) }, (_, at) =>
      textAt(sqlite.sqlite3_column_name(this.#handle, at)),
    );
    return Object.fromEntries(this.#names.map((name, at) => [name, this.#value(at)]));
  }

  #value(at: number): Value {
    const length = () => sqlite.sqlite3_column_bytes(this.#handle, at);
    switch (sqlite.sqlite3_column_type(this.#handle, at)) {
      case SQLITE_INTEGER:
        return Number(sqlite.sqlite3_column_int64(this.#handle, at));
      case SQLITE_TEXT:
        // In this order: the text is made first, then its length is known.
        return textOf(sqlite.sqlite3_column_text(this.#handle, at), length());
      case SQLITE_BLOB:
        return bytesAt(sqlite.sqlite3_column_blob(this.#handle, at), length());
      default:
        return null;
    }
  }
}

const MAIN = terminated("main");

function terminated(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** It may hold a NUL. */
function textOf(address: ForeignPointer, length: number): string {
  return new TextDecoder().decode(bytesAt(address, length));
}

/** A copy. An empty blob has no address. */
function bytesAt(address: ForeignPointer, length: number): Uint8Array<ArrayBuffer> {
  if (address === null || length === 0) return new Uint8Array(0);
  return new Uint8Array(toArrayBuffer(Number(address) as Pointer, 0, length)).slice();
}
