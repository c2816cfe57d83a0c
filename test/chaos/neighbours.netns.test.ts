// Other software that changes the new link while ADD is at work on it, at every point of that work.
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type Call, isTurningPoint, RUNTIME_CALLS } from "./calls.ts";
import { failure, inLanes, readyStages, type Scenario, traced } from "./crash.ts";
import { malformed } from "./errors.ts";
import { FULL } from "./full.ts";
import { meanwhile } from "./pause.ts";
import { execute, HOST_END, type Stage, shell } from "./stage.ts";

const SCENARIO: Scenario = { verb: "ADD", stack: "dual", ipam: "slash32", store: "used" };
const TIMEOUT_MS = FULL ? 900_000 : 300_000;

const resources = new DisposableStack();
let stages: Stage[];
let calls: readonly Call[];

beforeAll(async () => {
  stages = await readyStages(resources, SCENARIO);
  const { own } = await traced(stages[0] as Stage, SCENARIO);
  // From the cable's making on: before there is nothing to meddle with.
  const made = own.findIndex(({ text }) => text.startsWith("sendto(") && text.includes("NEWLINK"));
  const isOurs = ({ name }: Call) => !RUNTIME_CALLS.has(name) && name !== "exit_group";
  calls = own.slice(made).filter(FULL ? isOurs : isTurningPoint);
}, TIMEOUT_MS);
afterAll(() => resources.dispose());

let tally = { kept: 0, refused: 0 };
afterEach(() => {
  tally = { kept: 0, refused: 0 };
});

const DELETE_ROUTES = "ip route flush proto 32; ip -6 route flush proto 32";
const RENAME = (name: string) => `ip link set ${HOST_END} name ${name} || {
  ip link set ${HOST_END} down; ip link set ${HOST_END} name ${name}; ip link set ${name} up; }`;

test.each([
  ["rewrites the host end's MAC", `ip link set ${HOST_END} address 02:00:00:00:00:01`],
  ["sets the host end down", `ip link set ${HOST_END} down`],
  ["deletes the routes", DELETE_ROUTES],
  ["renames the host end", RENAME("renamed0")],
  ["deletes the host end", `ip link delete ${HOST_END}`],
])(
  "another process %s: ADD ends right or fails clearly, and DEL leaves nothing",
  { timeout: TIMEOUT_MS },
  async (_, script) => {
    expect(calls.length).toBeGreaterThan(20);
    const faults = await atEveryCall(async (stage, call) => {
      const { outcome } = await meanwhile(stage.runThrough("ADD"), call, () => shell(stage.host, script));
      return outcome.exitCode === 0 ? kept(stage, outcome.json) : refused(stage, malformed(outcome));
    });
    expect(faults).toEqual([]);
    expect(tally.kept + tally.refused).toBe(calls.length);
  },
);

test("another process deletes the sandbox: ADD ends, and DEL leaves nothing", {
  timeout: TIMEOUT_MS,
}, async () => {
  const faults = await atEveryCall(async (stage, call) => {
    const { name } = stage.pod;
    const { outcome } = await meanwhile(stage.runThrough("ADD"), call, () =>
      execute(["ip", "netns", "delete", name]),
    );
    const wrong = outcome.exitCode === 0 ? [] : malformed(outcome);
    const del = failure("DEL", await stage.run("DEL"));
    await execute(["ip", "netns", "add", name]);
    const left = (await stage.remains()).filter(
      (line) => !/^lo: |^lo inet|^net\/ipv[46]\/(conf\/(all|lo)\/|ip_forward)/.test(line),
    );
    return [...wrong, ...del, ...left.map((line) => `leaves ${line}`)];
  });
  expect(faults).toEqual([]);
});

test("renamed after ADD: DEL and GC find the host end by its alias, and leave what is another's", async () => {
  const [stage] = stages as [Stage];
  for (const verb of ["DEL", "GC"] as const) {
    await stage.restore();
    expect(failure("ADD", await stage.run("ADD"))).toEqual([]);
    await shell(
      stage.host,
      `${RENAME("renamed0")}; ip link add other0 type veth peer name other1
      ip link set other0 alias "slash32 podnet/container-10/eth0"`,
    );
    const outcome = verb === "DEL" ? await stage.run("DEL") : await stage.run("GC", { netconf: keepOther() });
    expect(failure(verb, outcome)).toEqual([]);
    expect((await stage.remains()).filter((line) => !line.startsWith("other"))).toEqual([]);
    expect(await shell(stage.host, "ip -o link show other0 | wc -l")).toBe("1\n");
    await shell(stage.host, "ip link delete other0");
  }
});

function keepOther() {
  return { "cni.dev/valid-attachments": [{ containerID: "container-10", ifname: "eth0" }] };
}

async function atEveryCall(attempt: (stage: Stage, call: Call) => Promise<string[]>): Promise<string[]> {
  const faults: string[] = [];
  await inLanes(stages, calls, async (stage, call) => {
    await stage.restore();
    for (const fault of await attempt(stage, call))
      faults.push(`${call.name} ${call.nth}, ${call.text}: ${fault}`);
    await shell(stage.host, `for name in renamed0 ${HOST_END}; do ip link delete $name 2>&-; done`);
  });
  return faults;
}

/** It stands, or CHECK tells what the other did after ADD's last look; then DEL takes all of it away. */
async function kept(stage: Stage, prevResult: unknown): Promise<string[]> {
  tally.kept += 1;
  const check = await stage.run("CHECK", { netconf: { prevResult } });
  const wrong = check.exitCode === 0 ? await stage.unreachable() : malformed(check);
  return [...wrong, ...(await taken(stage))];
}

/** A refusal leaves nothing of ours; DEL, which comes nevertheless, finds nothing wrong with that. */
async function refused(stage: Stage, wrong: string[]): Promise<string[]> {
  tally.refused += 1;
  const left = await stage.remains();
  return [...wrong, ...left.map((line) => `fails and leaves ${line}`), ...(await taken(stage))];
}

async function taken(stage: Stage): Promise<string[]> {
  const del = failure("DEL", await stage.run("DEL"));
  return [...del, ...(await stage.remains()).map((line) => `DEL leaves ${line}`)];
}
