// The store fails, is lost or is damaged under living pods: a clear error or a mended store, and no address twice.
import { Database } from "bun:sqlite";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestNetns } from "../helpers/lab.ts";
import { isTurningPoint } from "./calls.ts";
import { expectSuccess, failure, inLanes, readyStages, type Scenario, traced } from "./crash.ts";
import { malformed } from "./errors.ts";
import { FULL, SEED } from "./full.ts";
import { meanwhile } from "./pause.ts";
import { type Outcome, type Stage, shell } from "./stage.ts";

const SCENARIO: Scenario = { verb: "ADD", stack: "dual", ipam: "slash32", store: "none" };
const TIMEOUT_MS = FULL ? 1_800_000 : 300_000;
const LIVING = ["living-1", "living-2", "living-3"];
const FLIPS = FULL ? 3000 : 100;

/** A host with three pods that live on whatever becomes of the store, and their store as it was. */
class Household {
  readonly stage: Stage;
  readonly #pods: readonly TestNetns[];
  readonly #saved: string;
  readonly #results = new Map<string, Outcome>();

  constructor(stage: Stage, resources: DisposableStack) {
    this.stage = stage;
    this.#pods = LIVING.map(() => resources.use(new TestNetns("pod")));
    this.#saved = mkdtempSync(join(tmpdir(), "slash32-saved-"));
    resources.defer(() => rmSync(this.#saved, { recursive: true, force: true }));
  }

  get directory(): string {
    return join(this.stage.host.stateDir, "podnet");
  }

  get database(): string {
    return join(this.directory, "leases.db");
  }

  async settle(): Promise<void> {
    await this.stage.restore();
    for (const [at, containerId] of LIVING.entries()) {
      const outcome = await this.stage.run("ADD", { containerId, netns: this.#pods[at]?.path ?? "" });
      expectSuccess("ADD", outcome);
      this.#results.set(containerId, outcome);
    }
    cpSync(this.stage.host.stateDir, this.#saved, { recursive: true });
    await this.stage.remember();
  }

  /** The store as it was; the pods have lived on. */
  async mend(): Promise<void> {
    const { stateDir } = this.stage.host;
    for (const name of readdirSync(stateDir)) rmSync(join(stateDir, name), { recursive: true, force: true });
    cpSync(this.#saved, stateDir, { recursive: true });
    await this.stage.run("DEL");
  }

  /** What is wrong after the store was damaged: a new pod, a living one, the living again, and all taken away. */
  async faults(believes = false): Promise<string[]> {
    const add = await this.stage.run("ADD");
    const wrong =
      add.exitCode === 0
        ? await this.#newcomer(add)
        : [...malformed(add), ...(await this.stage.kernelRemains())];
    const [first] = LIVING as [string];
    const netns = this.#pods[0]?.path ?? "";
    const check = await this.stage.run("CHECK", {
      containerId: first,
      netns,
      netconf: { prevResult: this.#results.get(first)?.json },
    });
    const again = await this.stage.run("ADD", { containerId: first, netns });
    const same = JSON.stringify(again.json?.ips) === JSON.stringify(this.#results.get(first)?.json?.ips);
    return [
      ...wrong,
      ...(check.exitCode === 0 ? [] : malformed(check)),
      ...(again.exitCode === 0 ? (same ? [] : [`a living pod is told ${again.stdout}`]) : malformed(again)),
      ...(await this.#alive()),
    ].filter((fault) => !(believes && BELIEVED.test(fault)));
  }

  async #newcomer(add: Outcome): Promise<string[]> {
    const taken = [...this.#results.values()]
      .flatMap(({ json }) => json?.ips ?? [])
      .map(({ address }) => address);
    const twice = (add.json?.ips ?? []).filter(({ address }) => taken.includes(address));
    const del = await this.stage.run("DEL");
    return [
      ...twice.map(({ address }) => `${address} is given twice`),
      ...(del.exitCode === 0 ? await this.stage.kernelRemains() : malformed(del)),
    ];
  }

  async #alive(): Promise<string[]> {
    const routes = await shell(this.stage.host, "ip route show proto 32; ip -6 route show proto 32");
    const count = routes.trim().split("\n").length;
    return count === 2 * LIVING.length ? [] : [`the living have ${count} routes`];
  }
}

const resources = new DisposableStack();
const households = new Map<Stage, Household>();
let stages: Stage[];

beforeAll(async () => {
  stages = await readyStages(resources, SCENARIO);
  for (const stage of stages) {
    const household = new Household(stage, resources);
    await household.settle();
    households.set(stage, household);
  }
}, TIMEOUT_MS);
afterAll(() => resources.dispose());

/** What comes of believing another's record: the pod is made anew by it, or DEL looks for another host end. */
const BELIEVED = /^a living pod is told |^the living have | dev cali/;

/** Damages the store in each of these ways, and tells what was wrong after it. */
async function faultsAfter<T>(
  ways: readonly T[],
  damage: (household: Household, way: T) => unknown,
  { believes = false } = {},
): Promise<string[]> {
  const faults: string[] = [];
  await inLanes(stages, ways, async (stage, way) => {
    const household = households.get(stage) as Household;
    await household.mend();
    await damage(household, way);
    for (const fault of await household.faults(believes)) faults.push(`${JSON.stringify(way)}: ${fault}`);
  });
  for (const household of households.values()) await household.mend();
  return faults;
}

const SIZE = 28_672;

describe("a damaged database", () => {
  const lengths = [
    0,
    1,
    15,
    16,
    18,
    24,
    99,
    100,
    101,
    511,
    512,
    4095,
    4096,
    4097,
    8192,
    12_288,
    16_384,
    20_480,
    24_576,
    SIZE - 1,
  ];

  test("cut off", { timeout: TIMEOUT_MS }, async () => {
    expect(await faultsAfter(lengths, ({ database }, length) => truncateSync(database, length))).toEqual([]);
  });

  test("overwritten with garbage, whole or from a page on", { timeout: TIMEOUT_MS }, async () => {
    const pages = [0, 1, 2, 3, 4, 5, 6];
    const overwrite = ({ database }: Household, page: number) => {
      const bytes = readFileSync(database);
      bytes.fill("garbage!", page * 4096, page === 0 ? SIZE : (page + 1) * 4096);
      writeFileSync(database, bytes);
    };
    expect(await faultsAfter(pages, overwrite)).toEqual([]);
  });

  test(`one of ${FLIPS} bits flipped`, { timeout: TIMEOUT_MS }, async () => {
    const step = Math.floor((SIZE * 8) / FLIPS);
    const bits = Array.from({ length: FLIPS }, (_, at) => at * step + ((SEED + at * 37) % step));
    const flip = ({ database }: Household, bit: number) => {
      const bytes = readFileSync(database);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(database, bytes);
    };
    // SQLite has no sums: a record that a bit has made another's is believed.
    expect(await faultsAfter(bits, flip, { believes: true })).toEqual([]);
  });

  test("with a journal that is none, or another's", { timeout: TIMEOUT_MS }, async () => {
    const journals = ["garbage", "\0".repeat(5000), `\xd9\xd5\x05\xf9\x20\xa1\x63\xd7${"\xff".repeat(5000)}`];
    const write = ({ database }: Household, text: string) =>
      writeFileSync(`${database}-journal`, text, "latin1");
    expect(await faultsAfter(journals, write)).toEqual([]);
  });
});

test("a database of an older or a newer slash32", { timeout: TIMEOUT_MS }, async () => {
  const set = ({ database }: Household, version: number) => {
    using opened = new Database(database);
    opened.run(`PRAGMA user_version = ${version}`);
  };
  const versions = [-1, 0, 2, 3, 999, 2 ** 31 - 1];
  expect(await faultsAfter(versions, set)).toEqual([]);
  // And what is said of it.
  const household = households.get(stages[0] as Stage) as Household;
  set(household, 2);
  const { json } = await household.stage.run("ADD");
  expect(json).toMatchObject({
    code: 103,
    msg: expect.stringContaining("its schema is version 2, this slash32 knows version 1"),
  });
  await household.mend();
});

test("a store that is gone, or something else in its place", { timeout: TIMEOUT_MS }, async () => {
  const ways: Record<string, (household: Household) => unknown> = {
    "no database": ({ database }) => rmSync(database),
    "no directory": ({ directory }) => rmSync(directory, { recursive: true }),
    "no state at all": ({ stage }) => rmSync(stage.host.stateDir, { recursive: true }),
    "no lock file": ({ directory }) => rmSync(join(directory, "lock")),
    "a database that is a directory": ({ database }) => {
      rmSync(database);
      mkdirSync(database);
    },
    "a database that leads nowhere": ({ database }) => {
      rmSync(database);
      symlinkSync("/nowhere/leases.db", database);
    },
    "a directory that is a file": ({ directory }) => {
      rmSync(directory, { recursive: true });
      writeFileSync(directory, "");
    },
    "a lock file that is a directory": ({ directory }) => {
      rmSync(join(directory, "lock"));
      mkdirSync(join(directory, "lock"));
    },
  };
  const faults = await faultsAfter(Object.keys(ways), (household, way) => {
    ways[way]?.(household);
    mkdirSync(household.stage.host.stateDir, { recursive: true });
  });
  expect(faults).toEqual([]);
});

test("a state directory that cannot be written", { timeout: TIMEOUT_MS }, async () => {
  const household = households.get(stages[0] as Stage) as Household;
  const { stateDir } = household.stage.host;
  execaSync("mount", ["--bind", stateDir, stateDir]);
  execaSync("mount", ["-o", "remount,bind,ro", stateDir]);
  try {
    expect(await household.faults()).toEqual([]);
    expect(malformed(await household.stage.run("ADD"))).toEqual([]);
    expect(malformed(await household.stage.run("DEL"))).toEqual([]);
  } finally {
    execaSync("umount", [stateDir]);
  }
  await household.mend();
});

test("a state directory with room for 0 to 20 pages", { timeout: TIMEOUT_MS }, async () => {
  const household = households.get(stages[0] as Stage) as Household;
  const { stateDir } = household.stage.host;
  const outcomes = new Set<number | null>();
  for (let pages = 1; pages <= 20; pages += 1) {
    for (const isFresh of [true, false]) {
      const saved = readdirSync(stateDir).map((name) => join(stateDir, name));
      const copy = mkdtempSync(join(tmpdir(), "slash32-full-"));
      for (const path of isFresh ? [] : saved)
        cpSync(path, join(copy, path.slice(stateDir.length)), { recursive: true });
      execaSync("mount", ["-t", "tmpfs", "-o", `size=${isFresh ? pages * 4 : 512}k`, "tmpfs", stateDir]);
      try {
        if (!isFresh) {
          cpSync(copy, stateDir, { recursive: true });
          // All but this many pages are somebody else's.
          await shell(
            household.stage.host,
            `dd if=/dev/zero of=${stateDir}/filler bs=4k 2>&-; truncate -s -${(pages - 1) * 4}k ${stateDir}/filler`,
          );
        }
        const add = await household.stage.run("ADD");
        outcomes.add(add.exitCode);
        expect({ pages, isFresh, wrong: add.exitCode === 0 ? [] : malformed(add) }).toEqual({
          pages,
          isFresh,
          wrong: [],
        });
        expect({ pages, isFresh, wrong: await household.faults() }).toEqual({ pages, isFresh, wrong: [] });
      } finally {
        execaSync("umount", [stateDir]);
        rmSync(copy, { recursive: true });
      }
      await household.mend();
    }
  }
  expect([...outcomes].sort()).toEqual([0, 1]);
});

test("a state directory that is removed while ADD is at any point", { timeout: TIMEOUT_MS }, async () => {
  const [first] = stages as [Stage];
  const { own } = await traced(first, SCENARIO);
  const faults: string[] = [];
  await inLanes(stages, own.filter(isTurningPoint), async (stage, call) => {
    const household = households.get(stage) as Household;
    await household.mend();
    const { outcome } = await meanwhile(stage.runThrough("ADD"), call, async () =>
      rmSync(household.directory, { recursive: true }),
    );
    const wrong = outcome.exitCode === 0 ? [] : malformed(outcome);
    // Gone or not: the next verbs find a store that they can work with.
    const del = failure("DEL", await stage.run("DEL"));
    for (const fault of [...wrong, ...del, ...(await household.faults())])
      faults.push(`${call.name} ${call.nth}, ${call.text}: ${fault}`);
  });
  expect(faults).toEqual([]);
});

test("in the end, GC takes away all of it", { timeout: TIMEOUT_MS }, async () => {
  for (const stage of stages) {
    rmSync(join(stage.host.stateDir, "podnet"), { recursive: true });
    expect(failure("GC", await stage.gc())).toEqual([]);
    expect(
      await shell(
        stage.host,
        "ip route show proto 32; ip -6 route show proto 32; ip -o link show type veth | grep cali",
      ),
    ).toBe("");
    expect(stage.leases()).toEqual([]);
  }
});
