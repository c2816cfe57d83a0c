// ADD as the runtime calls it, with a system call of its own failing: every one of them, one after the other.
import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostEndName } from "../../src/datapath/endpoint.ts";
import { wiring } from "../../src/datapath/wiring.ts";
import { testEndpoint } from "../helpers/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { links, picture } from "../helpers/picture.ts";
import { type Answer, add, del, EXECUTABLE, netconf } from "../helpers/plugin.ts";

const SUBNETS = usable(["10.20.1.0/24", "fd00:20::/64"]);
const CONTAINER = "container-1";
const HOST_END = hostEndName("cali", { network: "podnet", containerId: CONTAINER, ifName: "eth0" });
/** More than ADD has of any. */
const MOST = 60;

const resources = new DisposableStack();
let host: TestHost;
let bystander: TestNetns;

beforeAll(() => {
  host = resources.use(new TestHost());
  bystander = resources.use(new TestNetns("pod"));
  expect(add({ host, netns: bystander, netconf: dual(), containerId: "bystander" }).exitCode).toBe(0);
});
afterAll(() => resources.dispose());

test.each([
  { what: "message to the kernel", call: "sendto", error: "ENOBUFS", least: 10 },
  // Every other is the way back; most are for settings of IPv6.
  { what: "entry into a namespace", call: "setns", error: "EPERM", every: 2, least: hasIpv6 ? 7 : 3 },
])(
  "a $what that fails leaves no link, route or lease, whichever it is",
  ({ call, error, least, every = 1 }) => {
    const before = untouched();
    let failures = 0;
    for (let nth = 1; nth <= MOST; nth += every) {
      using pod = new TestNetns("pod");
      const outcome = addFailing(pod, [`inject=${call}:error=${error}:when=${nth}`]);
      if (outcome.exitCode === 0) break;
      failures += 1;
      expectNothingLeft(`${call} ${nth}`, pod, outcome, before);
    }
    expect(failures).toBeGreaterThanOrEqual(least);
    del({ host, netconf: dual(), containerId: CONTAINER });
  },
);

const keys = wiring(testEndpoint({ addresses: usable(["10.20.1.2", "fd00:20::2"]) })).flatMap((step) =>
  step.kind === "sysctl" ? [{ key: step.key, on: step.on }] : [],
);

test.each(keys)("$key $on cannot be set: ADD says so and leaves no link, route or lease", ({ key, on }) => {
  // Host and sandbox have keys of the same name; the sandbox's turn comes later.
  const nth = keys.filter((other) => other.key === key).length > 1 && on === "sandbox" ? 2 : 1;
  using pod = new TestNetns("pod");
  const before = untouched();
  const outcome = addFailing(pod, [`inject=openat:error=EROFS:when=${nth}`], ["-P", `/proc/sys/${key}`]);
  expect(outcome.answer).toMatchObject({
    code: 102,
    msg: expect.stringMatching(
      // What is right already is only read, where writing it anew has effects.
      new RegExp(
        `^KernelRefused: Cannot (echo \\d >|read) /proc/sys/${key}: Read-only file system;.*writable$`,
      ),
    ),
  });
  expectNothingLeft(key, pod, outcome, before);
});

test("a way back that fails ends ADD: nothing more is made in the wrong namespace, and nothing is left", () => {
  const before = untouched();
  for (const nth of [2, 4, 6]) {
    using pod = new TestNetns("pod");
    const outcome = addFailing(pod, [`inject=setns:error=EPERM:when=${nth}`]);
    expect(outcome.stderr).toBe("");
    expect(outcome.answer?.msg).toContain("Cannot return to the host's network namespace");
    expectNothingLeft(`setns ${nth}`, pod, outcome, before);
  }
});

test("where the kernel stops answering altogether, the first failure is told, and DEL cleans up", () => {
  using pod = new TestNetns("pod");
  const before = untouched();
  // From the second message after the cable's on: taking back fails too.
  const { exitCode, answer } = addFailing(pod, ["inject=sendto:error=ENOBUFS:when=8+"]);
  expect(exitCode).toBe(1);
  expect(answer).toMatchObject({ code: 102, msg: expect.stringContaining("No buffer space available") });
  expect(left(pod)).toMatchObject({ hostEnd: true });
  expect(del({ host, netconf: dual(), containerId: CONTAINER }).exitCode).toBe(0);
  expect(left(pod)).toEqual(NOTHING);
  expect(untouched()).toEqual(before);
});

const NOTHING = { links: ["lo"], hostEnd: false, leases: SUBNETS.length };

function expectNothingLeft(fault: string, pod: TestNetns, outcome: Outcome, before: string[]): void {
  const { answer, exitCode } = outcome;
  expect({ fault, ...left(pod) }).toEqual({ fault, ...NOTHING });
  expect({ fault, exitCode, answer }).toMatchObject({
    fault,
    exitCode: 1,
    answer: { code: expect.toBeOneOf([102, 103]), msg: expect.stringMatching(/^[A-Z]\w+: Cannot /) },
  });
  expect(untouched()).toEqual(before);
}

function dual() {
  const ranges = SUBNETS.map((subnet) => [{ subnet }]);
  return netconf(host, { ipam: { type: "slash32", ranges } });
}

type Outcome = { answer: Answer | undefined; stderr: string; exitCode: number | undefined };

/** ADD under strace, which makes calls fail before the kernel sees them. */
function addFailing(pod: TestNetns, faults: string[], more: string[] = []): Outcome {
  const environment = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: CONTAINER,
    CNI_NETNS: pod.path,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  const strace = [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    ...more,
    ...faults.flatMap((fault) => ["-e", fault]),
  ];
  const command = [`--net=${host.path}`, "--", ...strace, EXECUTABLE];
  const { stdout, stderr, exitCode } = execaSync("nsenter", command, {
    env: { PATH: process.env.PATH, ...environment },
    extendEnv: false,
    input: JSON.stringify(dual()),
    reject: false,
  });
  return { answer: stdout === "" ? undefined : JSON.parse(stdout), stderr, exitCode };
}

function left(pod: TestNetns) {
  return {
    links: links(pod).map((line) => line.split(" ")[0]),
    hostEnd: links(host).some((line) => line.startsWith(HOST_END)),
    leases: leases(),
  };
}

/** As the database has it: one address of each family is the bystander's. */
function leases(): number {
  const file = join(host.stateDir, "podnet", "leases.db");
  if (!existsSync(file)) return 0;
  using database = new Database(file);
  const row = database.query("SELECT count(*) AS count FROM address WHERE held_by IS NOT NULL").get();
  return (row as { count: number }).count;
}

function untouched(): string[] {
  // Settings stay: that the host forwards is for good.
  return [...picture(host), ...picture(bystander)].filter((line) => !line.startsWith("net/"));
}
