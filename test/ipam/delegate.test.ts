// Other IPAM plugins that misbehave: none of them may keep an ADD waiting for longer than it is allowed to.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Delegate, DelegateError, runDelegate } from "../../src/ipam/delegate.ts";
import { thrown } from "../helpers/thrown.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "slash32-delegates-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A plugin that does what the script says. */
function delegate(script: string, more: Partial<Delegate> = {}): Delegate {
  const type = `plugin-${Math.random().toString(36).slice(2)}`;
  writeFileSync(join(directory, type), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { type, path: [directory], environment: { PATH: process.env.PATH }, netconf: "{}", ...more };
}

/** What came of it, and how long it took. */
function timed<T>(work: () => T): { readonly value: T; readonly seconds: number } {
  const started = performance.now();
  return { value: work(), seconds: (performance.now() - started) / 1000 };
}

/** Empty for a process that is no more. */
function readStatus(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}

const LONG = 25;

test("one that hangs is killed in time", () => {
  const hanging = delegate(`exec sleep ${LONG}`, { timeoutMs: 300 });
  const { value, seconds } = timed(() => thrown(() => runDelegate(hanging, "ADD")));
  expect(value).toBeInstanceOf(DelegateError);
  expect(String(value)).toMatch(/for ADD: no answer in 0\.3 s$/);
  expect(seconds).toBeLessThan(5);
});

test("one that hangs is killed with all it has started", async () => {
  const file = join(directory, "pids");
  const hanging = delegate(`sleep ${LONG} & echo $! >${file}; wait`, { timeoutMs: 500 });
  const { seconds } = timed(() => thrown(() => runDelegate(hanging, "ADD")));
  expect(seconds).toBeLessThan(5);
  const pid = readFileSync(file, "utf8").trim();
  await expect.poll(() => readStatus(pid), { timeout: 2000 }).not.toMatch(/^State:\t[RSD]/m);
});

test("one that leaves a process with its pipes is not waited for longer than itself", () => {
  const { value, seconds } = timed(() => runDelegate(delegate(`sleep ${LONG} & echo '{"a":1}'`), "ADD"));
  expect(value).toEqual({ a: 1 });
  expect(seconds).toBeLessThan(5);
});

test("one that never stops talking is killed in time", () => {
  const endless = delegate("exec yes", { timeoutMs: 500 });
  const { value, seconds } = timed(() => thrown(() => runDelegate(endless, "ADD")));
  expect(String(value)).toContain("no answer in 0.5 s");
  expect(seconds).toBeLessThan(5);
});

test("one that does not read what it is sent is no obstacle, however long that is", () => {
  const netconf = JSON.stringify({ comment: "x".repeat(1_000_000) });
  expect(runDelegate(delegate("exec <&-; echo '{}'", { netconf }), "ADD")).toEqual({});
  expect(runDelegate(delegate("wc -c", { netconf }), "ADD")).toBe(netconf.length);
});

test("an answer of hundreds of kilobytes arrives whole", () => {
  const long = delegate(`printf '"'; head -c 900000 /dev/zero | tr '\\0' x; printf '"'`);
  expect(runDelegate(long, "ADD")).toBe("x".repeat(900_000));
});

test("may write to /dev/stdout, as to any pipe", () => {
  expect(runDelegate(delegate(`printf '{"a":' >/dev/stdout; printf '2}' >/dev/stdout`), "ADD")).toEqual({
    a: 2,
  });
});
