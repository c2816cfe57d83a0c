// Bad requests to the executable: what the process makes of them, and what is left when it has gone.
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestHost } from "../helpers/lab.ts";
import { picture } from "../helpers/picture.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";
import { FULL, SEED } from "./full.ts";
import { type BadRequest, badRequest, passable } from "./input.ts";
import { assertDeserved } from "./verdict.ts";

const CASES = FULL ? 10_000 : 2000;
const LANES = 3;
/** Of the processor's time: an idle machine needs no longer. */
const LONGEST_MS = 2000;
const MEGABYTE = 2 ** 20;
/** Of address space: what asks for more gets none. wait4(2) would count in what the tests' own process has. */
const MOST_BYTES = 192 * MEGABYTE;

let host: TestHost;
let stateDir: string;
let directory: string;
/** A mount namespace in which nobody else writes to /run. */
let mounts: string;
let before: ReturnType<typeof outside>;

beforeAll(() => {
  host = new TestHost();
  directory = join(host.stateDir, "here");
  stateDir = join(host.stateDir, "state");
  for (const path of [directory, stateDir]) mkdirSync(path);
  mounts = join(host.stateDir, "mounts");
  writeFileSync(mounts, "");
  execaSync("unshare", [`--mount=${mounts}`, "--", "mount", "-t", "tmpfs", "tmpfs", "/run"]);
  before = outside();
});
afterAll(() => {
  execaSync("umount", [mounts]);
  host[Symbol.dispose]();
});

function outside() {
  const { stdout } = execaSync("nsenter", [`--mount=${mounts}`, "--", "ls", "-A", "/run"]);
  // The state directory of requests that name none.
  const run = stdout.split("\n").filter((name) => name !== "slash32");
  return { run, beside: readdirSync(host.stateDir), here: readdirSync(directory), kernel: picture(host) };
}

/** Milliseconds of the processor's time. Throws unless the answer is what the request deserves. */
async function judge(request: BadRequest): Promise<number> {
  const environment = passable(request);
  const inside = [`--net=${host.path}`, `--mount=${mounts}`, `--wd=${directory}`, "--"];
  const child = Bun.spawn(["prlimit", `--as=${MOST_BYTES}`, "nsenter", ...inside, EXECUTABLE], {
    stdin: request.stdin,
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH ?? "", ...environment },
    timeout: 30_000,
  });
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const [stdout, stderr] = await output;
  await child.exited;
  const words = JSON.stringify({
    environment,
    stdin: new TextDecoder().decode(request.stdin.subarray(0, 2000)),
  });
  try {
    // Without a command, it is a person who calls.
    if (environment.CNI_COMMAND) {
      const json = stdout === "" ? undefined : JSON.parse(stdout);
      assertDeserved({ ...request, environment }, { exitCode: child.exitCode ?? -1, json });
      if (stderr !== "") throw new Error(`Cannot accept on stderr: ${stderr}`);
    }
  } catch (error) {
    throw new Error(
      `${(error as Error).message}\n${stdout.slice(0, 500)}${stderr.slice(0, 500)}\n${words.slice(0, 3000)}`,
    );
  }
  const { cpuTime } = child.resourceUsage() as { cpuTime: { total: number | bigint } };
  return Number(cpuTime.total) / 1000;
}

test(`${CASES} bad requests`, { timeout: 1_800_000 }, async () => {
  const places = { stateDir, netns: join(host.stateDir, "netns") };
  const queue = fc.sample(badRequest(places), { seed: SEED, numRuns: CASES });
  const costs: number[] = [];
  const lane = async () => {
    for (let request = queue.shift(); request; request = queue.shift()) costs.push(await judge(request));
  };
  await Promise.all(Array.from({ length: LANES }, lane));

  const slowest = Math.max(...costs);
  console.log(`${CASES} bad requests to the executable, at most ${slowest.toFixed(0)} ms of CPU`);
  expect(costs.length).toBe(CASES);
  expect(slowest).toBeLessThan(LONGEST_MS);
  expect(outside()).toEqual(before);
});

const long = "x".repeat(10 * MEGABYTE);
const encoder = new TextEncoder();

/** Everything that is in order, but for one thing. */
function spoilt(one: {
  env?: Record<string, string>;
  netconf?: object;
  stdin?: string | Uint8Array;
}): BadRequest {
  const netconf = { cniVersion: "1.1.0", name: "podnet", type: "slash32", stateDir, ...one.netconf };
  const stdin = one.stdin ?? JSON.stringify(netconf);
  const environment = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/nowhere",
    CNI_IFNAME: "eth0",
    ...one.env,
  };
  return { environment, stdin: typeof stdin === "string" ? encoder.encode(stdin) : stdin };
}

test.each([
  ["3 MB of a name", () => spoilt({ netconf: { name: long.slice(0, 3 * MEGABYTE) } })],
  [
    "3 MB of a subnet",
    () => spoilt({ netconf: { ipam: { ranges: [[{ subnet: long.slice(0, 3 * MEGABYTE) }]] } } }),
  ],
  ["3 MB of nothing but brackets", () => spoilt({ stdin: "[".repeat(3 * MEGABYTE) })],
  ["10 MB of a key that nobody knows", () => spoilt({ netconf: { x: long } })],
  ["10 MB of a name", () => spoilt({ netconf: { name: long } })],
  ["10 MB of a subnet", () => spoilt({ netconf: { ipam: { ranges: [[{ subnet: long }]] } } })],
  ["10 MB of a MAC", () => spoilt({ netconf: { runtimeConfig: { mac: long } } })],
  [
    "10 MB of a state directory",
    () => spoilt({ env: { CNI_COMMAND: "DEL" }, netconf: { stateDir: `/${long}` } }),
  ],
  [
    "a million ranges",
    () => spoilt({ netconf: { ipam: { ranges: [new Array(1e5).fill({ subnet: "10.0.0.0/8" })] } } }),
  ],
  [
    "50 000 attachments to keep",
    () =>
      spoilt({
        env: { CNI_COMMAND: "GC" },
        netconf: { "cni.dev/valid-attachments": new Array(5e4).fill({ containerID: "c", ifname: "eth0" }) },
      }),
  ],
  ["100 000 routes", () => spoilt({ netconf: { routes: new Array(1e5).fill({ dst: "10.0.0.0/8" }) } })],
  [
    "lists in lists, 100 000 deep",
    () => spoilt({ stdin: `{"name":"podnet","x":${"[".repeat(1e5)}${"]".repeat(1e5)}}` }),
  ],
  ["objects in objects, 100 000 deep", () => spoilt({ stdin: `${'{"x":'.repeat(1e5)}1${"}".repeat(1e5)}` })],
  ["10 MB of nothing but brackets", () => spoilt({ stdin: "[".repeat(10 * MEGABYTE) })],
  ["10 MB of NUL", () => spoilt({ stdin: new Uint8Array(10 * MEGABYTE) })],
  [
    "a hundred thousand times the same key",
    () => spoilt({ stdin: `{${'"name":"a",'.repeat(1e5)}"name":"podnet","cniVersion":"1.1.0"}` }),
  ],
  ["an environment of 100 KB", () => spoilt({ env: { CNI_ARGS: "A=B;".repeat(25_000) } })],
] as const)("%s", { timeout: 60_000 }, async (_, make) => {
  expect(await judge(make())).toBeLessThan(LONGEST_MS);
  expect(outside()).toEqual(before);
});
