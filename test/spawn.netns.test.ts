// Programs that are run to their end, or to ours.
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { Namespace } from "../src/datapath/netns.ts";
import { SystemError } from "../src/libc.ts";
import { type Program, run } from "../src/spawn.ts";
import { TestNetns } from "./helpers/lab.ts";
import { thrown } from "./helpers/thrown.ts";

const shell = (script: string, rest: Partial<Program> = {}) =>
  run({
    command: ["/bin/sh", "-c", script],
    environment: { PATH: "/usr/bin:/bin" },
    timeoutMs: 10_000,
    longestOutputBytes: 1 << 20,
    ...rest,
  });

/** Empty when the process is gone, or ended. */
function commandLine(pid: string): string {
  const path = `/proc/${pid}/cmdline`;
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

test("a program has its arguments, environment and input, and tells what it says and how it ends", () => {
  const command = ["/bin/sh", "-c", 'cat; echo "$0 $1 $NAME"; echo more >&2; exit 3', "a b", "…"] as const;
  const environment = { PATH: "/usr/bin:/bin", NAME: "ü", ABSENT: undefined };
  const ended = run({
    command,
    environment,
    input: "in\0put\n",
    timeoutMs: 10_000,
    longestOutputBytes: 1000,
  });
  expect(ended).toEqual({ exitCode: 3, timedOut: false, stdout: "in\0put\na b … ü\n", stderr: "more\n" });
  expect(shell("cat; env | grep -c ABSENT").stdout).toBe("0\n");
  expect(shell("kill -SEGV $$")).toMatchObject({ signal: "SIGSEGV", timedOut: false });
});

test("more than any pipe holds comes whole; who says too much is stopped", () => {
  const many = "head -c 5000000 /dev/zero";
  expect(shell(many, { longestOutputBytes: 6_000_000 }).stdout.length).toBe(5_000_000);
  expect(shell("yes", { timeoutMs: 300 })).toMatchObject({
    timedOut: true,
    signal: "SIGKILL",
    stdout: "y\n".repeat(1 << 19),
  });
});

test("who takes too long is killed with all that it started", async () => {
  const { timedOut, stdout } = shell("sleep 100 & echo $!; wait", { timeoutMs: 300 });
  expect(timedOut).toBe(true);
  // Ended, be it that nobody has taken notice of it yet.
  await expect.poll(() => commandLine(stdout.trim()), { timeout: 5000 }).toBe("");
});

test("a child that is left running keeps nobody waiting, and has none of our descriptors", () => {
  const before = performance.now();
  const { stdout } = shell("sleep 100 >/dev/null 2>&1 & echo $!; ls -l /proc/self/fd | grep -c pipe:");
  expect(performance.now() - before).toBeLessThan(5000);
  const [pid = "", pipes] = stdout.trim().split("\n");
  process.kill(Number(pid));
  // Its own of the pipeline, and stderr.
  expect(Number(pipes)).toBeLessThanOrEqual(2);
});

test("what cannot be started is a SystemError, and no descriptor is lost", () => {
  const count = () => readdirSync("/proc/self/fd").length;
  const before = count();
  const start = (path: string) => () =>
    run({ command: [path], environment: {}, timeoutMs: 1000, longestOutputBytes: 10 });
  expect(thrown(start("/no/such/program"))).toBeInstanceOf(SystemError);
  expect(thrown(start("/no/such/program"))).toMatchObject({
    code: "ENOENT",
    message: "Cannot start /no/such/program: No such file or directory",
  });
  expect(thrown(start("/etc/passwd"))).toMatchObject({ code: "EACCES" });
  expect(thrown(start("/bin/true\0"))).toMatchObject({ code: "EINVAL" });
  expect(count()).toBe(before);
});

test("it is born in the namespace of the calling thread", () => {
  using sandbox = new TestNetns("pod");
  using namespace = Namespace.open(sandbox.path);
  const inside = namespace.inside(() => shell("readlink /proc/self/ns/net").stdout.trim());
  expect(inside).toBe(`net:[${namespace.identity.split(":").at(-1)}]`);
  expect(shell("readlink /proc/self/ns/net").stdout.trim()).toBe(readlinkSync("/proc/thread-self/ns/net"));
});
