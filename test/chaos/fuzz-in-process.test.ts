// 100 000 bad requests, answered in this process.
import { heapStats } from "bun:jsc";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { answer } from "../../src/cni/plugin.ts";
import { type Span, takenSpans } from "../../src/trace.ts";
import { FULL, SEED } from "./full.ts";
import { type BadRequest, badRequest } from "./input.ts";
import { assertDeserved } from "./verdict.ts";

const ROUNDS = FULL ? 100 : 20;
const CASES = 5000;
const LONGEST_MS = 2000;
const MOST_GROWTH_BYTES = 64 * 2 ** 20;

const root = mkdtempSync(join(tmpdir(), "slash32-fuzz-"));
const stateDir = join(root, "state");
mkdirSync(stateDir);
afterAll(() => rmSync(root, { recursive: true, force: true }));

const answers = new Map<number, number>();
let slowestMs = 0;

function judge(request: BadRequest): void {
  const started = process.cpuUsage();
  const { stdout, exitCode } = answer(request.environment, () => new TextDecoder().decode(request.stdin));
  // Of our own: what others do to the machine meanwhile, and to its kernel's locks, is not ours.
  const { user, system } = process.cpuUsage(started);
  slowestMs = Math.max(slowestMs, (user + system) / 1000);
  (takenSpans() as Span[]).length = 0; // there, a process lives for one verb
  const json = stdout === undefined ? undefined : JSON.parse(JSON.stringify(stdout));
  assertDeserved(request, { exitCode, json });
  const code = exitCode === 0 ? 0 : json.code;
  answers.set(code, (answers.get(code) ?? 0) + 1);
}

function outside() {
  const { stdout } = execaSync("sh", ["-c", "ip -o link; ip route; ip -6 route; ip rule; ip neigh"]);
  return { kernel: stdout, here: readdirSync("."), beside: readdirSync(root) };
}

function heapBytes(): number {
  Bun.gc(true);
  return heapStats().heapSize;
}

const title = `${ROUNDS * CASES} bad requests: answers of the right class, in time, and nothing outside of stateDir`;
test(title, { timeout: 1_800_000 }, () => {
  const before = outside();
  const property = fc.property(badRequest({ stateDir, netns: join(root, "netns") }), judge);
  let warm = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    fc.assert(property, { seed: SEED + round, numRuns: CASES });
    if (round === 1) warm = heapBytes();
  }

  const codes = [...answers].sort(([a], [b]) => a - b).map(([code, count]) => `${code}: ${count}`);
  console.log(`${ROUNDS * CASES} bad requests; answers by code: ${codes.join(", ")}`);
  console.log(`the slowest took ${slowestMs.toFixed(0)} ms of CPU`);
  expect(slowestMs).toBeLessThan(LONGEST_MS);
  expect(heapBytes() - warm).toBeLessThan(MOST_GROWTH_BYTES);
  expect(outside()).toEqual(before);
  // Not all of them are turned away at the door.
  expect([...answers.keys()]).toEqual(expect.arrayContaining([0, 1, 4, 6, 7, 8, 50, 103, 105]));
});
