// Verbs that come late, in the wrong order, or at the same time.
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestNetns } from "../helpers/lab.ts";
import { type Call, isTurningPoint, RUNTIME_CALLS } from "./calls.ts";
import { expectSuccess, failure, inLanes, readyStages, type Scenario, traced } from "./crash.ts";
import { FULL } from "./full.ts";
import { meanwhile } from "./pause.ts";
import type { Stage } from "./stage.ts";

const SCENARIO: Scenario = { verb: "ADD", stack: "dual", ipam: "slash32", store: "used" };
const TIMEOUT_MS = FULL ? 900_000 : 300_000;

const resources = new DisposableStack();
let stages: Stage[];

beforeAll(async () => {
  stages = await readyStages(resources, SCENARIO);
}, TIMEOUT_MS);
afterAll(() => resources.dispose());

test("ADD of a pod's second sandbox, then the late DEL of its first: the second works", async () => {
  const [stage] = stages as [Stage];
  await stage.restore();
  using second = new TestNetns("pod");
  const env = { CNI_ARGS: "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0" };
  const b = { containerId: "container-2", netns: second.path, env };
  expectSuccess("ADD", await stage.run("ADD", { env }));
  const added = await stage.run("ADD", b);
  expectSuccess("ADD", added);
  expectSuccess("DEL", await stage.run("DEL", { env }));
  expectSuccess("CHECK", await stage.run("CHECK", { ...b, netconf: { prevResult: added.json } }));
  expect(second.ping("198.51.100.1").received).toBe(1);
  expect(second.ping("2001:db8:ffff::1").received).toBe(1);
  // And once more: a DEL may be repeated.
  expectSuccess("DEL", await stage.run("DEL", { env }));
  expect(second.ping("198.51.100.1").received).toBe(1);
  expectSuccess("DEL", await stage.run("DEL", b));
  expect(await stage.remains()).toEqual([]);
});

test("DEL while ADD is at any point: it waits and takes all away, or was first", {
  timeout: TIMEOUT_MS,
}, async () => {
  const tally = { all: 0, working: 0 };
  const faults = await atEveryCall("ADD", async (stage, call) => {
    const { outcome, result } = await meanwhile(stage.runThrough("ADD"), call, () => stage.run("DEL"));
    const deleted = failure("DEL", result);
    const left = await stage.remains();
    tally.all += 1;
    // Whoever has the attachment's lock is first.
    if (left.length === 0) return deleted;
    tally.working += 1;
    return [...deleted, ...failure("ADD", outcome), ...(await broken(stage, outcome.json))];
  });
  expect(faults).toEqual([]);
  // Both were seen.
  expect(tally.working).toBeGreaterThan(0);
  expect(tally.working).toBeLessThan(tally.all);
});

test("GC of everything while ADD is at any point leaves it whole, and what is not done yet untouched", {
  timeout: TIMEOUT_MS,
}, async () => {
  const tally = { all: 0, untouched: 0 };
  const faults = await atEveryCall("ADD", async (stage, call, isLocked) => {
    const { outcome, result, isDone } = await meanwhile(stage.runThrough("ADD"), call, () => stage.gc());
    const failures = [...failure("GC", result), ...failure("ADD", outcome)];
    tally.all += 1;
    // A GC that had to wait came when ADD was done.
    const mayBeGone = !isDone || !isLocked;
    if (mayBeGone && (await stage.remains()).length === 0) return failures;
    tally.untouched += 1;
    return [...failures, ...(await broken(stage, outcome.json))];
  });
  expect(faults).toEqual([]);
  expect(tally.untouched).toBeGreaterThan(tally.all / 3);
});

test("ADD while DEL is at any point: it waits, and works", { timeout: TIMEOUT_MS }, async () => {
  const faults = await atEveryCall("DEL", async (stage, call) => {
    const { outcome, result } = await meanwhile(stage.runThrough("DEL"), call, () => stage.run("ADD"));
    const left = await stage.remains();
    // An ADD that comes before DEL has the lock finds the attachment complete, and loses it.
    if (left.length === 0) return [...failure("DEL", outcome), ...failure("ADD", result)];
    return [...failure("DEL", outcome), ...failure("ADD", result), ...(await broken(stage, result.json))];
  });
  expect(faults).toEqual([]);
});

/** `npm run test:chaos` holds it at every call. */
function isOurs({ name }: Call): boolean {
  return !RUNTIME_CALLS.has(name) && name !== "exit_group";
}

/** Holds the verb at its calls, and tells what was wrong. */
async function atEveryCall(
  verb: "ADD" | "DEL",
  attempt: (stage: Stage, call: Call, isLocked: boolean) => Promise<string[]>,
): Promise<string[]> {
  const [first] = stages as [Stage];
  const { own } = await traced(first, { ...SCENARIO, verb });
  const calls = own.filter(FULL ? isOurs : isTurningPoint);
  // The attachment's lock is the first that is taken, and the last that is let go of.
  const locks = own.filter(({ text }) => /F_OFD_SETLKW?, /.test(text));
  const [from, to] = [own.indexOf(locks.at(0) as Call), own.indexOf(locks.at(-1) as Call)];
  const faults: string[] = [];
  await inLanes(stages, calls, async (stage, call) => {
    await stage.restore();
    if (verb === "DEL") expectSuccess("ADD", await stage.run("ADD"));
    const isLocked = own.indexOf(call) >= from && own.indexOf(call) < to;
    for (const fault of await attempt(stage, call, isLocked))
      faults.push(`${call.name} ${call.nth}, ${call.text}: ${fault}`);
  });
  expect(calls.length).toBeGreaterThan(10);
  return faults;
}

async function broken(stage: Stage, prevResult: unknown): Promise<string[]> {
  const check = failure("CHECK", await stage.run("CHECK", { netconf: { prevResult } }));
  return [...check, ...(await stage.unreachable()).map((address) => `${address} cannot be reached`)];
}
