// SQLite through our own binding, with Bun's beside it as the judge.
import { Database as BunDatabase } from "bun:sqlite";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Database, SqliteError, type Value } from "../src/sqlite.ts";
import { thrown } from "./helpers/thrown.ts";

const directory = mkdtempSync(join(tmpdir(), "sqlite-"));
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

function open(name: string): Database {
  return new Database(at(name), { create: true });
}

const VALUES: readonly Value[] = [
  null,
  0,
  -1,
  2 ** 40,
  Number.MAX_SAFE_INTEGER,
  "",
  "ü€😀",
  "a\0b",
  new Uint8Array([0, 255, 1]),
];

test("what is written is read again, by us and by others", () => {
  using database = open("values");
  database.run("CREATE TABLE t (at INTEGER PRIMARY KEY, v ANY) STRICT; CREATE INDEX i ON t (v)");
  const insert = database.query("INSERT INTO t (at, v) VALUES (?, ?)");
  for (const [at, value] of VALUES.entries()) insert.run(at, value);
  const read = database.query("SELECT v FROM t ORDER BY at");
  expect(read.all().map(({ v }) => v)).toEqual(VALUES);
  using judge = new BunDatabase(at("values"));
  expect(judge.query("SELECT v FROM t ORDER BY at").values().flat()).toEqual(VALUES);
});

test("a statement begins anew each time, also where it was left half-read", () => {
  using database = open("again");
  database.run("CREATE TABLE t (v) ; INSERT INTO t VALUES (1), (2), (3)");
  const all = database.query("SELECT v AS value FROM t");
  expect(all.get()).toEqual({ value: 1 });
  for (const row of all.iterate()) {
    expect(row).toEqual({ value: 1 });
    break;
  }
  // Nobody is kept from writing by it.
  using other = new Database(at("again"));
  other.run("INSERT INTO t VALUES (4)");
  expect(all.all()).toHaveLength(4);
  expect(database.query("SELECT v AS value FROM t")).toBe(all);
});

test("a transaction is told to be one", () => {
  using database = open("transaction");
  expect(database.inTransaction).toBe(false);
  database.run("BEGIN IMMEDIATE");
  expect(database.inTransaction).toBe(true);
  database.run("ROLLBACK");
  expect(database.inTransaction).toBe(false);
});

test("a copy in memory has all, and goes its own way", () => {
  using database = open("original");
  database.run("CREATE TABLE t (v); INSERT INTO t VALUES (1)");
  using copy = Database.deserialize(database.serialize());
  copy.run("INSERT INTO t VALUES (2)");
  expect(copy.query("SELECT v FROM t").all()).toEqual([{ v: 1 }, { v: 2 }]);
  expect(database.query("SELECT v FROM t").all()).toEqual([{ v: 1 }]);
});

test("errors have SQLite's own words, and a code", () => {
  writeFileSync(at("garbage"), "no database at all, and long enough to be taken for one: ".repeat(40));
  using garbage = new Database(at("garbage"));
  using busy = open("busy");
  busy.run("CREATE TABLE t (v UNIQUE)");
  busy.run("BEGIN EXCLUSIVE");
  using other = new Database(at("busy"));
  busy.query("INSERT INTO t VALUES (?)").run(1);
  const cases: [() => unknown, string, RegExp][] = [
    [() => new Database(at("none")), "SQLITE_CANTOPEN", /unable to open/],
    [() => garbage.run("PRAGMA user_version = 1"), "SQLITE_NOTADB", /not a database/],
    [() => other.query("SELECT * FROM t").get(), "SQLITE_BUSY", /locked/],
    [() => busy.query("INSERT INTO t VALUES (?)").run(1), "SQLITE_CONSTRAINT", /UNIQUE.*t\.v/],
    [() => busy.query("SELECT absent"), "SQLITE_ERROR", /no such column: absent/],
    [() => busy.query("SELECT 1").get(1), "SQLITE_RANGE", /out of range/],
  ];
  for (const [work, code, message] of cases) {
    const error = thrown(work);
    expect(error).toBeInstanceOf(SqliteError);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  }
});
