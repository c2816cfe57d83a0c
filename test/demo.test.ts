// The demo as a visitor runs it, and as an impatient one does.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { execaSync } from "execa";
import { expect, test } from "vitest";
import { EXECUTABLE } from "./helpers/plugin.ts";

const ROOT = join(import.meta.dirname, "..");
// What `npm run demo` runs once everything is built, as it is here.
const COMMAND = ["scripts/lab.sh", "node_modules/.bin/bun", "scripts/demo/demo.ts"] as const;

/** One run, in a process group of its own as a terminal gives it. Whatever it starts carries its mark. */
class DemoRun {
  readonly #mark = randomUUID();
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<unknown[]>;
  stdout = "";
  stderr = "";

  constructor(environment: Record<string, string> = {}) {
    this.#child = spawn("bash", COMMAND, {
      cwd: ROOT,
      detached: true,
      env: { ...process.env, ...environment, SLASH32_DEMO_RUN: this.#mark },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#ended = once(this.#child, "close");
    this.#child.stdout.on("data", (chunk) => {
      this.stdout += chunk;
    });
    this.#child.stderr.on("data", (chunk) => {
      this.stderr += chunk;
    });
  }

  /** Waits until the text was printed. */
  async shows(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      const outcome = await Promise.race([this.#ended, once(this.#child.stdout, "data")]);
      if (outcome.length === 2) throw new Error(`Cannot find ${text} in the demo's output:\n${this.stdout}`);
    }
  }

  /** As the terminal does at Ctrl-C: to all that run in the foreground. */
  signal(signal: NodeJS.Signals): void {
    process.kill(-(this.#child.pid as number), signal);
  }

  async ended(): Promise<{ status: number | null; signal: string | null }> {
    const [status, signal] = (await this.#ended) as [number | null, string | null];
    return { status, signal };
  }

  /** Processes that live on: with the last of them its namespaces and its /run go. */
  survivors(): string[] {
    return readdirSync("/proc").filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(this.#mark);
      } catch {
        return false; // not a process, or one that has just ended
      }
    });
  }
}

/** What must be the same after as before: the network of this test, and that of the machine around it. */
function surroundings(): unknown {
  const inside = (netns: string, ...command: string[]) => {
    const { stdout } = execaSync("nsenter", [`--net=${netns}`, ...command]);
    // An address by DHCP has less and less of a lifetime left.
    return stdout.replaceAll(/"(valid|preferred)_life_time":\d+/g, "");
  };
  return ["/proc/self/ns/net", machineNetns()].map((netns) => [
    inside(netns, "ip", "-json", "address"),
    inside(netns, "ip", "-json", "route", "show", "table", "all"),
    inside(netns, "cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/proxy_arp"),
  ]);
}

/** The tests run in scripts/lab.sh, and who started that does not. */
function machineNetns(): string {
  const own = readlinkSync("/proc/self/ns/net");
  for (let pid = "self"; pid !== "0"; pid = parentOf(pid)) {
    const path = `/proc/${pid}/ns/net`;
    if (readlinkSync(path) !== own) return path;
  }
  throw new Error(
    "Cannot find the machine's network namespace: no process that led here is outside of this one",
  );
}

function parentOf(pid: string): string {
  return /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
}

/** Files that a demo would leave, were it to leave any. */
function leftovers(): string[] {
  const directories = ["/run", "/run/netns", "/dev/shm", tmpdir(), ROOT];
  const names = /slash32-demo|^(host|pod)\d$|\.result$/;
  return directories.flatMap((directory) => readdirSync(directory).filter((name) => names.test(name)));
}

async function expectNothingLeft(run: DemoRun): Promise<void> {
  await expect.poll(() => run.survivors(), { timeout: 2_000 }).toEqual([]);
  expect(leftovers()).toEqual([]);
}

test("the demo shows every claim to hold, in plain text when piped, and leaves everything as it was", async () => {
  const before = surroundings();
  const run = new DemoRun();
  const { status } = await run.ended();

  expect(run.stdout).toMatch(/pod to pod across hosts +ttl=62 +ok\n/);
  expect(run.stdout).toMatch(/pod to pod on one host +ttl=63 +ok\n/);
  expect(run.stdout).toMatch(/\n {2}(\d+) of \1 claims held, total time \d+\.\d s\n$/);
  expect(run.stdout).not.toContain("\x1b");
  expect(run.stdout).toContain("Reply 169.254.1.1 is-at ee:ee:ee:ee:ee:ee");
  expect(run.stderr).toBe("");
  expect(status).toBe(0);
  await expectNothingLeft(run);
  expect(surroundings()).toEqual(before);
});

test("a claim that does not hold is told, and makes the exit status 1", async () => {
  using directory = new DisposableStack();
  const path = directory.adopt(mkdtempSync(join(tmpdir(), "slash32-test-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  const lazy = `#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] || exec ${EXECUTABLE}\n`;
  writeFileSync(join(path, "slash32"), lazy, { mode: 0o755 });
  const run = new DemoRun({ SLASH32: join(path, "slash32") });
  const { status } = await run.ended();

  expect(run.stdout).toMatch(/DEL leaves no route +10.20.1.2 dev cali\w+ scope link.* failed\n/);
  expect(run.stdout).toMatch(/DEL leaves no link +cali.* failed\n/);
  expect(run.stdout).toMatch(/15 of 18 claims held/);
  expect(status).toBe(1);
  await expectNothingLeft(run);
});

test.each([
  ["at its beginning", "+ ip netns add host0", "SIGINT", 130],
  ["while pods are attached", "+ ip netns add pod1", "SIGINT", 130],
  ["while tcpdump listens", "tcpdump -i", "SIGINT", 130],
  ["during CHECK", "7. CHECK", "SIGTERM", 143],
  ["during DEL", "9. DEL", "SIGHUP", 129],
] as const)("interrupted %s it leaves nothing", async (_, text, signal, expected) => {
  const before = surroundings();
  const run = new DemoRun();
  await run.shows(text);
  run.signal(signal);

  expect(await run.ended()).toEqual({ status: expected, signal: null });
  expect(run.stdout).not.toContain("claims held");
  expect(run.stderr).toBe("");
  await expectNothingLeft(run);
  expect(surroundings()).toEqual(before);
});

test("killed while tcpdump listens it leaves nothing", async () => {
  const run = new DemoRun();
  await run.shows("tcpdump -i");
  run.signal("SIGKILL");

  await run.ended();
  await expectNothingLeft(run);
});
