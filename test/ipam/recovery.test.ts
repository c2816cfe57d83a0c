// A store that outlives its database: copies, adoption, and what becomes of a damaged, emptied or replaced file.
import { Database } from "bun:sqlite";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, describe, expect } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../src/address.ts";
import { StoreError } from "../../src/ipam/database.ts";
import type { Lease } from "../../src/ipam/lease.ts";
import { readRangeSets } from "../../src/ipam/range.ts";
import { Store } from "../../src/ipam/store.ts";

const { sets } = readRangeSets([[{ subnet: "10.20.1.0/24" }]], {}, "ranges");

const test = base.extend<{ stateDir: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the fixture's needs from its pattern
  stateDir: async ({}, use) => {
    const stateDir = mkdtempSync(join(tmpdir(), "recovery-"));
    await use(stateDir);
    rmSync(stateDir, { recursive: true });
  },
});

function named(containerId: string) {
  return { network: "podnet", containerId, ifName: "eth0" };
}

function intent(name: string) {
  return { attachment: named(name), hostEnd: `cali${name}`, mtu: 1500, pod: undefined };
}

function take(store: Store, name: string): string[] {
  const request = { ...intent(name), sets, requested: [], isInUse: () => false };
  return store.acquire(request).map(formatAddress);
}

/** What the kernel would tell. */
function seen(name: string, ...addresses: string[]): Lease {
  return { ...intent(name), addresses: addresses.map((text) => parseAddress(text) as Address) };
}

function held(store: Store): string[] {
  return store
    .list()
    .map(({ attachment, addresses }) => `${attachment.containerId} ${addresses.map(formatAddress)}`);
}

function database(stateDir: string): string {
  return join(stateDir, "podnet", "leases.db");
}

function garble(stateDir: string): void {
  writeFileSync(database(stateDir), "this is no database, and longer than its header\n".repeat(99));
}

describe("a witness is asked", () => {
  test("when a database is begun, and not again", ({ stateDir }) => {
    let asked = 0;
    const witness = () => {
      asked += 1;
      return [seen("a", "10.20.1.2")];
    };
    using store = Store.open(stateDir, "podnet", witness);
    expect(asked).toBe(0);
    expect(take(store, "b")).toEqual(["10.20.1.3"]);
    expect(take(store, "a")).toEqual(["10.20.1.2"]);
    using again = Store.open(stateDir, "podnet", witness);
    expect(held(again)).toEqual(["a 10.20.1.2", "b 10.20.1.3"]);
    expect(asked).toBe(1);
  });

  test.each<[string, (stateDir: string) => void]>([
    ["lost", (stateDir) => rmSync(database(stateDir))],
    ["emptied", (stateDir) => truncateSync(database(stateDir), 0)],
    ["garbage", garble],
  ])("when the database is %s, whoever had it open", (_, damage) => {
    const stateDir = mkdtempSync(join(tmpdir(), "recovery-"));
    using early = Store.open(stateDir, "podnet", () => [seen("a", "10.20.1.2")]);
    take(early, "a");
    damage(stateDir);
    using late = Store.open(stateDir, "podnet", () => [seen("a", "10.20.1.2")]);
    expect(take(late, "b")).toEqual(["10.20.1.3"]);
    expect(held(early)).toEqual(["a 10.20.1.2", "b 10.20.1.3"]);
    rmSync(stateDir, { recursive: true });
  });

  test("and when it fails, nothing is moved or made", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet", () => {
      throw new Error("no answer");
    });
    garble(stateDir);
    const size = statSync(database(stateDir)).size;
    expect(() => take(store, "a")).toThrow(/^Cannot write the store in .*: no answer$/);
    expect(readdirSync(join(stateDir, "podnet")).sort()).toEqual(["leases.db", "lock"]);
    expect(statSync(database(stateDir)).size).toBe(size);
  });
});

describe("who only reads", () => {
  test.each<[string, (stateDir: string) => void]>([
    ["lost", (stateDir) => rmSync(database(stateDir))],
    ["emptied", (stateDir) => truncateSync(database(stateDir), 0)],
    [
      "one that was begun, and not more",
      (stateDir) => {
        rmSync(database(stateDir));
        using begun = new Database(database(stateDir), { create: true });
        begun.run("VACUUM");
      },
    ],
    ["garbage", garble],
  ])(
    "of a store that is %s makes nothing, has the witness's word, and whoever writes asks it, too",
    (_, damage) => {
      const stateDir = mkdtempSync(join(tmpdir(), "recovery-"));
      const witness = () => [seen("a", "10.20.1.2")];
      {
        using early = Store.open(stateDir, "podnet", witness);
        take(early, "a");
      }
      damage(stateDir);
      const size = () => existsSync(database(stateDir)) && statSync(database(stateDir)).size;
      const before = size();
      {
        using reader = Store.read(stateDir, "podnet", witness);
        expect(held(reader)).toEqual(["a 10.20.1.2"]);
        expect(reader.isEmpty()).toBe(false);
      }
      expect(size()).toBe(before);
      if (damage !== garble) {
        using reader = Store.read(stateDir, "podnet");
        expect(held(reader)).toEqual([]);
      }
      using late = Store.open(stateDir, "podnet", witness);
      expect(take(late, "b")).toEqual(["10.20.1.3"]);
      expect(held(late)).toEqual(["a 10.20.1.2", "b 10.20.1.3"]);
      rmSync(stateDir, { recursive: true });
    },
  );

  test("of a sound store has what is in it, whatever a witness says", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet");
    take(store, "a");
    using reader = Store.read(stateDir, "podnet", () => [seen("b", "10.20.1.9")]);
    expect(held(reader)).toEqual(["a 10.20.1.2"]);
    take(store, "c");
    expect(held(reader)).toEqual(["a 10.20.1.2", "c 10.20.1.3"]);
  });
});

test("without a witness damage is an error of its own kind, and the file is left", ({ stateDir }) => {
  using store = Store.open(stateDir, "podnet");
  garble(stateDir);
  for (const work of [() => take(store, "a"), () => store.list(), () => Store.copy(stateDir, "podnet")]) {
    let error: unknown;
    try {
      work();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(StoreError);
    expect(error).toMatchObject({ code: "DAMAGED" });
  }
  expect(readdirSync(join(stateDir, "podnet")).sort()).toEqual(["leases.db", "lock"]);
});

test("a newer schema is not damage: nobody moves it aside", ({ stateDir }) => {
  using store = Store.open(stateDir, "podnet");
  take(store, "a");
  using newer = new Database(database(stateDir));
  newer.run("PRAGMA user_version = 7");
  using later = Store.open(stateDir, "podnet", () => []);
  expect(() => take(later, "b")).toThrow(/schema is version 7/);
  expect(() => Store.copy(stateDir, "podnet", () => [])).toThrow(/schema is version 7/);
  expect(readdirSync(join(stateDir, "podnet")).some((name) => name.includes("corrupt"))).toBe(false);
});

test("rebuild() moves the database aside together with its journal", ({ stateDir }) => {
  using store = Store.open(stateDir, "podnet", () => [seen("b", "10.20.1.9")]);
  take(store, "a");
  writeFileSync(`${database(stateDir)}-journal`, "a journal that belongs to the old one");
  const aside = store.rebuild();
  expect(existsSync(`${aside}-journal`)).toBe(true);
  expect(held(store)).toEqual(["b 10.20.1.9"]);
  expect(new Database(aside).query("SELECT container_id FROM attachment").values()).toEqual([["a"], ["b"]]);
  expect((statSync(database(stateDir)).mode & 0o777).toString(8)).toBe("600");
});

test("a lease is never written to a database that was replaced meanwhile", ({ stateDir }) => {
  using early = Store.open(stateDir, "podnet");
  take(early, "a");
  renameSync(database(stateDir), `${database(stateDir)}.old`);
  take(early, "b");
  using store = Store.open(stateDir, "podnet");
  expect(held(store)).toEqual(["b 10.20.1.2"]);
});

describe("adopt()", () => {
  test("records what is seen, twice as once, and the address is not given again", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet");
    for (const _ of [1, 2]) store.adopt(seen("a", "10.20.1.2", "fd00::2"));
    expect(held(store)).toEqual(["a 10.20.1.2,fd00::2"]);
    expect(take(store, "b")).toEqual(["10.20.1.3"]);
  });

  test("takes a freed address out of the queue, and no address from its holder", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet");
    take(store, "a");
    store.adopt(seen("b", "10.20.1.2"));
    expect(held(store)).toEqual(["a 10.20.1.2", "b "]);
    store.release(named("a"));
    store.adopt(seen("b", "10.20.1.2"));
    expect(held(store)).toEqual(["b 10.20.1.2"]);
  });
});

describe("copy()", () => {
  test("is the store as it is, and what is done to it leaves no traces", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet");
    take(store, "a");
    const files = () =>
      readdirSync(stateDir, { recursive: true }).map((name) => {
        const { size, mtimeMs } = statSync(join(stateDir, String(name)));
        return `${name} ${size} ${mtimeMs}`;
      });
    const before = files();
    using copy = Store.copy(stateDir, "podnet");
    expect(take(copy, "b")).toEqual(["10.20.1.3"]);
    copy.release(named("a"));
    expect(held(copy)).toEqual(["b 10.20.1.3"]);
    expect(held(store)).toEqual(["a 10.20.1.2"]);
    expect(files()).toEqual(before);
  });

  test("of no store is an empty one, or what the witness tells; no store is made", ({ stateDir }) => {
    using empty = Store.copy(stateDir, "podnet");
    expect(take(empty, "b")).toEqual(["10.20.1.2"]);
    using copy = Store.copy(stateDir, "podnet", () => [seen("a", "10.20.1.2")]);
    expect(take(copy, "b")).toEqual(["10.20.1.3"]);
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test("of a damaged store is what it would begin with", ({ stateDir }) => {
    using store = Store.open(stateDir, "podnet");
    take(store, "a");
    garble(stateDir);
    using copy = Store.copy(stateDir, "podnet", () => [seen("z", "10.20.1.9")]);
    expect(held(copy)).toEqual(["z 10.20.1.9"]);
    expect(statSync(database(stateDir)).size).toBe(48 * 99);
  });
});
