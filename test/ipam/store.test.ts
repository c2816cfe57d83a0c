import { Database } from "bun:sqlite";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect, vi } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../src/address.ts";
import type { Attachment } from "../../src/attachment.ts";
import { StoreError } from "../../src/ipam/database.ts";
import { LeaseError } from "../../src/ipam/lease.ts";
import { type RangeConfig, readRangeSets } from "../../src/ipam/range.ts";
import { assertWritable, Store } from "../../src/ipam/store.ts";
import { Database as StoreDatabase } from "../../src/sqlite.ts";
import { start } from "../helpers/program.ts";

/** A directory and a store of its own for each test. */
const test = base.extend<{ stateDir: string; store: Store }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern to learn what a fixture needs
  stateDir: async ({}, use) => {
    const stateDir = mkdtempSync(join(tmpdir(), "store-"));
    await use(stateDir);
    rmSync(stateDir, { recursive: true });
  },
  store: async ({ stateDir }, use) => {
    using store = Store.open(stateDir, "podnet");
    await use(store);
  },
});

/** .2 to .6 are to be had: five addresses. */
const SMALL = "10.20.1.0/29";
const FOUR: RangeConfig[][] = [[{ subnet: SMALL }]];
const SIX: RangeConfig[][] = [[{ subnet: "fd00:20:1::/125" }]];

type Options = {
  readonly ranges?: readonly (readonly RangeConfig[])[];
  readonly requested?: readonly string[];
  readonly isInUse?: (address: Address) => boolean;
  readonly ifName?: string;
  readonly network?: string;
};

const address = (text: string) => parseAddress(text) as Address;

function named(containerId: string, { ifName = "eth0", network = "podnet" }: Options = {}): Attachment {
  return { network, containerId, ifName };
}

function rangeSets(ranges: readonly (readonly RangeConfig[])[]) {
  const { sets, mistakes } = readRangeSets(ranges, {}, "ranges");
  expect(mistakes).toEqual([]);
  return sets;
}

/** Leases as ADD does; the addresses as text. */
function lease(store: Store, containerId: string, options: Options = {}): string[] {
  const { ranges = FOUR, requested = [], isInUse = () => false } = options;
  const leased = store.acquire({
    attachment: named(containerId, options),
    hostEnd: `cali${containerId}`,
    mtu: 1450,
    pod: `default/${containerId}`,
    sets: rangeSets(ranges),
    requested: requested.map(address),
    isInUse,
  });
  return leased.map(formatAddress);
}

/** What is thrown, as its class, code and message. */
function thrown(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error("Cannot tell what was thrown: nothing was");
}

function heldBy(store: Store, containerId: string): string[] | undefined {
  return store.find(named(containerId))?.addresses.map(formatAddress);
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`);

test("addresses are given in order, each once", ({ store }) => {
  expect(names(5).map((name) => lease(store, name))).toEqual([
    ["10.20.1.2"],
    ["10.20.1.3"],
    ["10.20.1.4"],
    ["10.20.1.5"],
    ["10.20.1.6"],
  ]);
});

test("a /24 gives 253 attachments an address of their own, and none to the next", ({ store }) => {
  const ranges = [[{ subnet: "10.20.1.0/24" }]];
  const given = names(253).flatMap((name) => lease(store, name, { ranges }));
  expect(new Set(given).size).toBe(253);
  const error = thrown(() => lease(store, "one-too-many", { ranges }));
  expect(error).toBeInstanceOf(LeaseError);
  expect(error).toMatchObject({
    code: "EXHAUSTED",
    message: "Cannot lease an address from 10.20.1.0/24: all 253 are in use",
  });
  expect(store.find(named("one-too-many"))).toBeUndefined();
});

test.each<[string, RangeConfig, RangeConfig]>([
  ["is not excluded any more", { subnet: SMALL, exclude: ["10.20.1.2/31"] }, { subnet: SMALL }],
  [
    "is the gateway no more",
    { subnet: SMALL, gateway: "10.20.1.2" },
    { subnet: SMALL, gateway: "10.20.1.3" },
  ],
])("an address that %s is given, though others behind it were", (_, before, after) => {
  const stateDir = mkdtempSync(join(tmpdir(), "store-"));
  using store = Store.open(stateDir, "podnet");
  const given = lease(store, "a", { ranges: [[before]] });
  const rest = names(4).flatMap((name) => lease(store, name, { ranges: [[after]] }));
  expect([...given, ...rest].toSorted()).toEqual(
    ["10.20.1.2", "10.20.1.3", "10.20.1.4", "10.20.1.5", "10.20.1.6"].filter(
      (text) => text !== after.gateway || given.includes(text),
    ),
  );
  rmSync(stateDir, { recursive: true });
});

test("what is leased can be found again, whole, also by the next process", ({ store, stateDir }) => {
  lease(store, "a", { ranges: [...FOUR, ...SIX] });
  const expected = {
    attachment: named("a"),
    hostEnd: "calia",
    mtu: 1450,
    pod: "default/a",
    addresses: [address("10.20.1.2"), address("fd00:20:1::2")],
    delegated: undefined,
  };
  expect(store.find(named("a"))).toEqual(expected);
  using later = Store.open(stateDir, "podnet");
  expect(later.list()).toEqual([expected]);
});

test("two interfaces of one container, and two containers, are different attachments", ({ store }) => {
  const given = [lease(store, "a"), lease(store, "a", { ifName: "eth1" }), lease(store, "b")];
  expect(new Set(given.flat()).size).toBe(3);
  store.release(named("a", { ifName: "eth1" }));
  expect(store.list().map(({ attachment }) => attachment)).toEqual([named("a"), named("b")]);
});

test("networks do not know of each other", ({ store, stateDir }) => {
  lease(store, "a");
  using other = Store.open(stateDir, "othernet");
  expect(other.isEmpty()).toBe(true);
  expect(lease(other, "a", { network: "othernet" })).toEqual(["10.20.1.2"]);
});

test("find() is undefined and list() empty where nothing is held", ({ store }) => {
  expect(store.find(named("a"))).toBeUndefined();
  expect(store.list()).toEqual([]);
  expect(store.isEmpty()).toBe(true);
});

test("list() tells attachments in the order they came, and isEmpty() that there are some", ({ store }) => {
  for (const name of ["c", "a", "b"]) lease(store, name);
  expect(store.list().map(({ attachment }) => attachment.containerId)).toEqual(["c", "a", "b"]);
  expect(store.isEmpty()).toBe(false);
});

test("acquiring twice gives the same address", ({ store }) => {
  expect(lease(store, "a")).toEqual(["10.20.1.2"]);
  expect(lease(store, "a")).toEqual(["10.20.1.2"]);
  expect(lease(store, "b")).toEqual(["10.20.1.3"]);
});

test("releasing forgets the attachment, and twice is as once", ({ store }) => {
  lease(store, "a");
  store.release(named("a"));
  store.release(named("a"));
  store.release(named("never-there"));
  expect(store.find(named("a"))).toBeUndefined();
  expect(store.isEmpty()).toBe(true);
});

test("a freed address is reused last: after all that were never given", ({ store }) => {
  lease(store, "a");
  lease(store, "b");
  store.release(named("a"));
  expect(names(3).flatMap((name) => lease(store, name))).toEqual(["10.20.1.4", "10.20.1.5", "10.20.1.6"]);
  expect(lease(store, "last")).toEqual(["10.20.1.2"]);
});

test("of the freed addresses the one that was freed first is reused first", ({ store }) => {
  for (const name of names(5)) lease(store, name);
  for (const name of ["c3", "c0", "c4"]) store.release(named(name));
  expect(lease(store, "x")).toEqual(["10.20.1.5"]);
  store.release(named("c1"));
  expect(["y", "z", "w"].flatMap((name) => lease(store, name))).toEqual([
    "10.20.1.2",
    "10.20.1.6",
    "10.20.1.3",
  ]);
});

test("a requested address that was freed waits its turn as every other", ({ store }) => {
  lease(store, "a", { requested: ["10.20.1.3"] });
  store.release(named("a"));
  expect(names(5).flatMap((name) => lease(store, name))).toEqual([
    "10.20.1.2",
    "10.20.1.4",
    "10.20.1.5",
    "10.20.1.6",
    "10.20.1.3",
  ]);
});

test("when all are gone, one release makes room for exactly one", ({ store }) => {
  for (const name of names(5)) lease(store, name);
  expect(() => lease(store, "x")).toThrow(/all 5 are in use/);
  store.release(named("c2"));
  expect(lease(store, "x")).toEqual(["10.20.1.4"]);
  expect(() => lease(store, "y")).toThrow(LeaseError);
});

test("exhaustion names all ranges of the set", ({ store }) => {
  const ranges = [
    [{ subnet: "10.20.1.0/30" }, { subnet: "10.20.2.0/24", rangeStart: "10.20.2.9", rangeEnd: "10.20.2.9" }],
  ];
  expect(lease(store, "a", { ranges })).toEqual(["10.20.1.2"]);
  expect(lease(store, "b", { ranges })).toEqual(["10.20.2.9"]);
  expect(() => lease(store, "c", { ranges })).toThrow(
    "Cannot lease an address from 10.20.1.0/30 or 10.20.2.9-10.20.2.9: all 2 are in use",
  );
});

test("a requested address is given, and nobody else gets it", ({ store }) => {
  expect(lease(store, "a", { requested: ["10.20.1.4"] })).toEqual(["10.20.1.4"]);
  expect(names(4).flatMap((name) => lease(store, name))).not.toContain("10.20.1.4");
  expect(() => lease(store, "x")).toThrow(/all 5 are in use/);
});

test("a requested address that is held is refused, naming its holder", ({ store }) => {
  lease(store, "a");
  const error = thrown(() => lease(store, "b", { requested: ["10.20.1.2"] }));
  expect(error).toMatchObject({
    name: "LeaseError",
    code: "UNAVAILABLE",
    message: "Cannot lease the requested address 10.20.1.2: it is held by podnet/a/eth0",
  });
  expect(store.find(named("b"))).toBeUndefined();
});

test.each(["10.20.1.0", "10.20.1.1", "10.20.1.7", "10.99.0.1", "fd00::9"])(
  "the requested address %s, reserved or out of range, is refused",
  (requested) => {
    const stateDir = mkdtempSync(join(tmpdir(), "store-"));
    using store = Store.open(stateDir, "podnet");
    expect(() => lease(store, "a", { requested: [requested] })).toThrow(
      `Cannot lease the requested address ${requested}: it is reserved, or not in ${SMALL}, for podnet/a/eth0`,
    );
    expect(store.isEmpty()).toBe(true);
    rmSync(stateDir, { recursive: true });
  },
);

test("a requested address that the host has a route to is refused", ({ store }) => {
  const isInUse = ({ value }: Address) => value === address("10.20.1.4").value;
  expect(() => lease(store, "a", { requested: ["10.20.1.4"], isInUse })).toThrow(
    "Cannot lease the requested address 10.20.1.4: the host has a route to it already",
  );
});

test("more requested addresses than sets are refused: none is left out in silence", ({ store }) => {
  expect(() => lease(store, "a", { requested: ["10.20.1.4", "10.20.1.5"] })).toThrow(
    "Cannot lease the requested address 10.20.1.5: a pod gets one address of each range set, and 10.20.1.4 is asked for, too, for podnet/a/eth0",
  );
  expect(store.isEmpty()).toBe(true);
});

test("an attachment that holds another address than requested keeps it, and the request fails", ({
  store,
}) => {
  lease(store, "a");
  expect(() => lease(store, "a", { requested: ["10.20.1.4"] })).toThrow(
    "Cannot lease the requested address 10.20.1.4: podnet/a/eth0 holds 10.20.1.2 already",
  );
  expect(lease(store, "a", { requested: ["10.20.1.2"] })).toEqual(["10.20.1.2"]);
});

test("an address the host uses is skipped, and given once the host has let go of it", ({ store }) => {
  const used = new Set(["10.20.1.2", "10.20.1.4"]);
  const isInUse = (asked: Address) => used.has(formatAddress(asked));
  const given = names(3).flatMap((name) => lease(store, name, { isInUse }));
  expect(given).toEqual(["10.20.1.3", "10.20.1.5", "10.20.1.6"]);
  expect(() => lease(store, "x", { isInUse })).toThrow(/all 5 are in use/);
  used.delete("10.20.1.4");
  expect(lease(store, "y", { isInUse })).toEqual(["10.20.1.4"]);
  used.clear();
  expect(lease(store, "z", { isInUse })).toEqual(["10.20.1.2"]);
});

test("a freed address that the host still uses is passed over, not given and not lost", ({ store }) => {
  for (const name of names(5)) lease(store, name);
  store.release(named("c0"));
  store.release(named("c1"));
  const isInUse = ({ value }: Address) => value === address("10.20.1.2").value;
  expect(lease(store, "x", { isInUse })).toEqual(["10.20.1.3"]);
  expect(() => lease(store, "y", { isInUse })).toThrow(LeaseError);
  expect(lease(store, "y")).toEqual(["10.20.1.2"]);
});

test("a database that was lost gives no address twice, as the host still has the routes", ({
  store,
  stateDir,
}) => {
  const routed = new Set([...lease(store, "a"), ...lease(store, "b")]);
  rmSync(join(stateDir, "podnet"), { recursive: true });
  using anew = Store.open(stateDir, "podnet");
  expect(lease(anew, "c", { isInUse: (asked) => routed.has(formatAddress(asked)) })).toEqual(["10.20.1.4"]);
});

test("two sets give one address each, in the order of the sets", ({ store }) => {
  expect(lease(store, "a", { ranges: [...FOUR, ...SIX] })).toEqual(["10.20.1.2", "fd00:20:1::2"]);
  expect(lease(store, "b", { ranges: [...SIX, ...FOUR] })).toEqual(["fd00:20:1::3", "10.20.1.3"]);
});

test("two sets of one family give two addresses", ({ store }) => {
  const ranges = [[{ subnet: "10.20.1.0/29" }], [{ subnet: "10.20.2.0/29" }]];
  expect(lease(store, "a", { ranges })).toEqual(["10.20.1.2", "10.20.2.2"]);
  expect(store.find(named("a"))?.addresses.map(formatAddress).sort()).toEqual(["10.20.1.2", "10.20.2.2"]);
});

test("dual stack is all or nothing: when IPv6 is exhausted, no IPv4 address is lost to the failed ones", ({
  store,
}) => {
  const ranges = [[{ subnet: "10.20.1.0/29" }], [{ subnet: "fd00:20:1::/126" }]];
  expect(lease(store, "a", { ranges })).toEqual(["10.20.1.2", "fd00:20:1::2"]);
  expect(lease(store, "b", { ranges })).toEqual(["10.20.1.3", "fd00:20:1::3"]);
  for (const name of names(9)) {
    expect(() => lease(store, name, { ranges })).toThrow(
      "Cannot lease an address from fd00:20:1::/126: all 2 are in use",
    );
  }
  expect(store.list()).toHaveLength(2);
  expect(lease(store, "four-only")).toEqual(["10.20.1.4"]);
});

test("a release frees both addresses of a dual stack", ({ store }) => {
  const ranges = [[{ subnet: "10.20.1.0/30" }], [{ subnet: "fd00:20:1::/126", exclude: ["fd00:20:1::3"] }]];
  const first = lease(store, "a", { ranges });
  expect(() => lease(store, "b", { ranges })).toThrow(LeaseError);
  store.release(named("a"));
  expect(lease(store, "b", { ranges })).toEqual(first);
});

test("of two sets each requested address goes to the set that has it", ({ store }) => {
  const requested = ["fd00:20:1::5", "10.20.1.5"];
  expect(lease(store, "a", { ranges: [...FOUR, ...SIX], requested })).toEqual(["10.20.1.5", "fd00:20:1::5"]);
  expect(lease(store, "b", { ranges: [...FOUR, ...SIX], requested: ["fd00:20:1::6"] })).toEqual([
    "10.20.1.2",
    "fd00:20:1::6",
  ]);
});

test("ranges may change between ADDs: what is held stays held and is never given again", ({ store }) => {
  lease(store, "a");
  lease(store, "b");
  const wider = { ranges: [[{ subnet: "10.20.1.0/28" }]] };
  const given = names(11).flatMap((name) => lease(store, name, wider));
  expect(given).not.toContain("10.20.1.2");
  expect(given).not.toContain("10.20.1.3");
  expect(new Set(given).size).toBe(11);
  expect(() => lease(store, "x", wider)).toThrow(/all 13 are in use/);
  expect(lease(store, "a", wider)).toEqual(["10.20.1.2"]);
});

test("changed ranges do not bring back what was freed a moment ago", ({ store }) => {
  lease(store, "a");
  store.release(named("a"));
  expect(lease(store, "b", { ranges: [[{ subnet: SMALL, rangeEnd: "10.20.1.4" }]] })).toEqual(["10.20.1.3"]);
});

test("what was freed is given only where the range of today has it", ({ store }) => {
  for (const name of names(5)) lease(store, name);
  store.release(named("c0"));
  store.release(named("c4"));
  const ranges = [[{ subnet: SMALL, rangeStart: "10.20.1.5" }]];
  expect(lease(store, "x", { ranges })).toEqual(["10.20.1.6"]);
  expect(() => lease(store, "y", { ranges })).toThrow(LeaseError);
});

test("an attachment of yesterday's subnet is released by its name", ({ store }) => {
  lease(store, "a", { ranges: [[{ subnet: "10.99.0.0/24" }]] });
  store.release(named("a"));
  expect(store.isEmpty()).toBe(true);
});

test("assertAvailable() agrees with the next acquire, whatever was held, freed or requested", ({ store }) => {
  const sets = rangeSets(FOUR);
  const next = () => {
    const isServed = names(1).every((name) => {
      try {
        lease(store, `probe-${name}`);
        store.release(named(`probe-${name}`));
        return true;
      } catch {
        return false;
      }
    });
    return isServed;
  };
  const says = () => {
    try {
      store.assertAvailable(sets);
      return true;
    } catch (error) {
      expect(error).toMatchObject({
        code: "EXHAUSTED",
        message: expect.stringContaining("all 5 are in use"),
      });
      return false;
    }
  };
  // From the end, so that what is never leased in order is held when the order comes to it.
  for (const last of ["6", "5", "4", "3"]) {
    lease(store, `c${last}`, { requested: [`10.20.1.${last}`] });
    expect(says()).toBe(true);
  }
  lease(store, "c2", { requested: ["10.20.1.2"] });
  expect(says()).toBe(false);
  expect(next()).toBe(false);
  store.release(named("c4"));
  expect(says()).toBe(true);
  expect(next()).toBe(true);
});

test("a store that was read, and is still open, keeps nobody from writing", ({ store, stateDir }) => {
  for (const name of names(5)) lease(store, name);
  for (const name of names(4)) store.release(named(name));
  using other = Store.open(stateDir, "podnet");
  const reads = [
    () => store.assertAvailable(rangeSets(FOUR)),
    () => store.list(),
    () => store.find(named("c4")),
    () => store.isEmpty(),
  ];
  for (const [at, read] of reads.entries()) {
    read();
    expect(lease(other, `x${at}`)).toEqual([`10.20.1.${at + 2}`]);
  }
});

test("an acquire that took a freed address leaves the database to others", ({ store, stateDir }) => {
  for (const name of names(5)) lease(store, name);
  for (const name of names(4)) store.release(named(name));
  using other = Store.open(stateDir, "podnet");
  expect([lease(store, "x"), lease(other, "y"), lease(store, "z"), lease(other, "w")].flat()).toEqual([
    "10.20.1.2",
    "10.20.1.3",
    "10.20.1.4",
    "10.20.1.5",
  ]);
});

test("another plugin's attachment is registered without address, and keeps its answer", ({ store }) => {
  const intent = { attachment: named("a"), hostEnd: "calia", mtu: 1500, pod: undefined };
  store.register(intent);
  store.register(intent);
  store.keepDelegated(intent, '{"ips":[]}');
  expect(store.list()).toEqual([{ ...intent, addresses: [], delegated: '{"ips":[]}' }]);
  store.forgetDelegated(named("a"));
  expect(store.list()).toEqual([{ ...intent, addresses: [], delegated: undefined }]);
  // Made anew from what the kernel tells, which does not know it yet.
  store.rebuild();
  store.keepDelegated(intent, '{"ips":[]}');
  expect(store.list()).toEqual([{ ...intent, addresses: [], delegated: '{"ips":[]}' }]);
});

test("the store's directory is 0700 and its files are 0600, whatever the umask", ({ stateDir }) => {
  const before = process.umask(0);
  try {
    using store = Store.open(join(stateDir, "below"), "podnet");
    lease(store, "a");
    const directory = join(stateDir, "below", "podnet");
    expect(mode(join(stateDir, "below"))).toBe("700");
    expect(mode(directory)).toBe("700");
    const files = readdirSync(directory);
    expect(files).toEqual(expect.arrayContaining(["leases.db", "lock"]));
    for (const file of files) expect([file, mode(join(directory, file))]).toEqual([file, "600"]);
  } finally {
    process.umask(before);
  }
});

function mode(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8);
}

test("exists() tells whether anything was ever written, and leaves no traces", ({ stateDir }) => {
  expect(Store.exists(stateDir, "podnet")).toBe(false);
  expect(readdirSync(stateDir)).toEqual([]);
  using store = Store.open(stateDir, "podnet");
  lease(store, "a");
  expect(Store.exists(stateDir, "podnet")).toBe(true);
});

test("a schema that a newer slash32 wrote is refused, and left as it is", ({ store, stateDir }) => {
  lease(store, "a");
  const path = join(stateDir, "podnet", "leases.db");
  const database = new Database(path);
  database.run("PRAGMA user_version = 7");
  database.close();
  using later = Store.open(stateDir, "podnet");
  const error = thrown(() => lease(later, "b"));
  expect(error).toBeInstanceOf(StoreError);
  expect(error.message).toMatch(/schema is version 7, this slash32 knows version 1/);
  expect(error.message).toContain(join(stateDir, "podnet"));
});

test.each<[string, (store: Store) => unknown]>([
  ["acquire", (store) => lease(store, "a")],
  ["release", (store) => store.release(named("a"))],
  ["find", (store) => store.find(named("a"))],
  ["list", (store) => store.list()],
])("a file that is no database makes %s() throw a StoreError with its path", (_, work) => {
  const stateDir = mkdtempSync(join(tmpdir(), "store-"));
  using store = Store.open(stateDir, "podnet");
  writeFileSync(
    join(stateDir, "podnet", "leases.db"),
    "this is no database, and longer than its header\n".repeat(99),
  );
  const error = thrown(() => work(store));
  expect(error).toBeInstanceOf(StoreError);
  expect(error.message).toMatch(/^Cannot (read|write) the store in .*: file is not a database$/);
  expect(error.message).toContain(join(stateDir, "podnet"));
  rmSync(stateDir, { recursive: true });
});

test("a directory that cannot be made is a StoreError with its path", ({ stateDir }) => {
  writeFileSync(join(stateDir, "file"), "");
  const error = thrown(() => Store.open(join(stateDir, "file"), "podnet"));
  expect(error).toBeInstanceOf(StoreError);
  expect(error.message).toMatch(/^Cannot open the store in .*\/file\/podnet: .*: Not a directory$/);
});

test("assertWritable() looks at the nearest directory there is, and writes nothing", ({ stateDir }) => {
  assertWritable(join(stateDir, "not", "yet"), "podnet");
  expect(readdirSync(stateDir)).toEqual([]);
  writeFileSync(join(stateDir, "file"), "");
  chmodSync(join(stateDir, "file"), 0o600);
  // Root may write anything, but no one can go through a plain file.
  expect(() => assertWritable(join(stateDir, "file"), "podnet")).toThrow(StoreError);
});

test("what a verb locks, another waits for; a different attachment is not kept waiting", ({
  store,
  stateDir,
}) => {
  using other = Store.open(stateDir, "podnet");
  {
    using _ = store.lock(7n);
    expect(other.tryLock(7n)).toBeUndefined();
    using different = other.tryLock(8n);
    expect(different).toBeDefined();
    // Neither is the store itself: its own lock is another byte, also for the number that would meet it.
    expect(lease(other, "a")).toEqual(["10.20.1.2"]);
  }
  using free = other.tryLock(7n);
  expect(free).toBeDefined();
});

test("every 64-bit number is a lock of its own, none of them the store's", async ({ store, stateDir }) => {
  using other = Store.open(stateDir, "podnet");
  for (const number of [0n, (1n << 62n) - 1n, (1n << 64n) - 1n]) {
    using held = store.tryLock(number);
    expect(held).toBeDefined();
    expect(other.tryLock(number)).toBeUndefined();
    // By another process, which is ended should it have to wait.
    const { stdout } = await start("acquire", stateDir, SMALL, "a");
    expect(stdout).toBe("10.20.1.2");
  }
});

test("eight processes at once get distinct addresses, and none is told that the store is busy", async ({
  stateDir,
}) => {
  const containers = (process: number) => names(12).map((name) => `p${process}-${name}`);
  const runs = names(8).map((_, at) => start("acquire", stateDir, "10.20.1.0/24", ...containers(at)));
  const outcomes = await Promise.all(runs);
  for (const { exitCode, stderr } of outcomes)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const given = outcomes.flatMap(({ stdout }) => stdout.split("\n"));
  expect(given).toHaveLength(96);
  expect(new Set(given).size).toBe(96);
  using store = Store.open(stateDir, "podnet");
  expect(
    store
      .list()
      .flatMap(({ addresses }) => addresses.map(formatAddress))
      .sort(),
  ).toEqual(given.sort());
});

test("of eight processes after five addresses five get one, and three are told it is exhausted", async ({
  stateDir,
}) => {
  const outcomes = await Promise.all(names(8).map((name) => start("acquire", stateDir, SMALL, name)));
  const given = outcomes.map(({ stdout }) => stdout).sort();
  expect(given).toEqual([
    "10.20.1.2",
    "10.20.1.3",
    "10.20.1.4",
    "10.20.1.5",
    "10.20.1.6",
    "exhausted",
    "exhausted",
    "exhausted",
  ]);
});

test("four processes that ask for the same attachment at once get the same address", async ({ stateDir }) => {
  const outcomes = await Promise.all(names(4).map(() => start("acquire", stateDir, SMALL, "same")));
  expect(outcomes.map(({ stdout }) => stdout)).toEqual(Array(4).fill("10.20.1.2"));
});

test("a process killed inside a transaction leaves nothing half-written, and the store usable", async ({
  store,
  stateDir,
}) => {
  lease(store, "before");
  const { signal } = await start("die-in-transaction", stateDir);
  expect(signal).toBe("SIGKILL");
  using later = Store.open(stateDir, "podnet");
  expect(later.list().map(({ attachment }) => attachment.containerId)).toEqual(["before"]);
  expect(lease(later, "after")).toEqual(["10.20.1.3"]);
});

test("processes killed at any moment leave every attachment with one address, and no address with two", async ({
  stateDir,
}) => {
  for (const delay_ms of [1, 3, 5, 8, 13, 21]) {
    const churn = start("churn", stateDir);
    await new Promise((resolve) => churn.stdout.once("data", resolve));
    await new Promise((resolve) => setTimeout(resolve, delay_ms));
    churn.kill("SIGKILL");
    expect((await churn).signal).toBe("SIGKILL");
    using store = Store.open(stateDir, "podnet");
    const held = store.list().map(({ addresses }) => addresses.map(formatAddress));
    expect(held.every((addresses) => addresses.length === 1)).toBe(true);
    expect(new Set(held.flat()).size).toBe(held.length);
    expect(lease(store, `after-${delay_ms}`, { ranges: [[{ subnet: "10.20.1.0/24" }]] })).toHaveLength(1);
  }
  const database = new Database(join(stateDir, "podnet", "leases.db"));
  expect(database.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  database.close();
});

/** The statements one piece of work asks the database to run. */
function statements(work: () => void): string[] {
  const query = vi.spyOn(StoreDatabase.prototype, "query");
  try {
    work();
    return query.mock.calls.map(([sql]) => sql);
  } finally {
    query.mockRestore();
  }
}

test("an acquire and a release run as many statements among 2000 leases as among ten", ({ store }) => {
  const ranges = [[{ subnet: "10.20.0.0/16" }]];
  const turn = (name: string) =>
    statements(() => lease(store, name, { ranges })).concat(statements(() => store.release(named(name))));
  for (let at = 0; at < 10; at++) lease(store, `few-${at}`, { ranges });
  const few = turn("x");
  for (let at = 0; at < 2000; at++) lease(store, `many-${at}`, { ranges });
  expect(turn("y")).toEqual(few);
  expect(few.length).toBeGreaterThan(5);
});

test("among freed addresses, too, the first candidate is the one that is taken", ({ store }) => {
  const ranges = [[{ subnet: "10.20.0.0/22" }]];
  for (let at = 0; at < 1021; at++) lease(store, `c${at}`, { ranges });
  for (let at = 0; at < 1021; at++) store.release(named(`c${at}`));
  const asked: string[] = [];
  const isInUse = (address: Address) => {
    asked.push(formatAddress(address));
    return false;
  };
  expect(lease(store, "x", { ranges, isInUse })).toEqual(["10.20.0.2"]);
  expect(asked).toEqual(["10.20.0.2"]);
});

test("no statement of an acquire, a release or a find reads a table from end to end", ({
  store,
  stateDir,
}) => {
  const seen = new Set([
    ...statements(() => lease(store, "a", { requested: ["10.20.1.4"] })),
    ...statements(() => names(4).map((name) => lease(store, name))),
    ...statements(() => store.release(named("c0"))),
    ...statements(() => lease(store, "reuses")),
    ...statements(() => thrown(() => lease(store, "b", { requested: ["10.20.1.4"] }))),
    ...statements(() => thrown(() => lease(store, "none-left"))),
    ...statements(() => store.find(named("a"))),
    ...statements(() => store.assertAvailable(rangeSets([[{ subnet: "10.20.2.0/24" }]]))),
  ]);
  const database = new Database(join(stateDir, "podnet", "leases.db"));
  const plans = [...seen].flatMap((sql) =>
    (database.query(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[]).map(({ detail }) => ({
      sql,
      detail,
    })),
  );
  database.close();
  expect(plans.length).toBeGreaterThan(8);
  // In the order of the index, and left as soon as an address fits: most often the first.
  const isQueue = ({ detail }: { detail: string }) =>
    /^SCAN address USING (COVERING )?INDEX address_freed$/.test(detail);
  const scans = plans.filter(
    (plan) => /\bSCAN (address|attachment)\b|TEMP B-TREE/.test(plan.detail) && !isQueue(plan),
  );
  expect(scans).toEqual([]);
  expect(plans.filter(isQueue)).toHaveLength(1);
});

test("the database itself refuses an address or an attachment twice", ({ store, stateDir }) => {
  lease(store, "a");
  const database = new Database(join(stateDir, "podnet", "leases.db"));
  const again = [
    "INSERT INTO address SELECT * FROM address",
    "INSERT INTO attachment (container_id, if_name, host_end, mtu) SELECT container_id, if_name, 'x', 1 FROM attachment",
  ];
  for (const sql of again) expect(() => database.run(sql)).toThrow(/UNIQUE constraint failed/);
  database.close();
  expect(heldBy(store, "a")).toEqual(["10.20.1.2"]);
});
