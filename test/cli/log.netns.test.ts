// What verbs write down, whatever becomes of the disk; and slash32 log, which reads it for people.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { slash32 } from "../helpers/command.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import {
  add,
  check,
  del,
  EXECUTABLE,
  netconf,
  type PluginCall,
  pluginAsync,
  status,
} from "../helpers/plugin.ts";

const TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/** A call that is logged, of a pod with that name. */
function logged(host: TestHost, netns: TestNetns, pod: string, keys = {}): PluginCall & { logFile: string } {
  const logFile = join(host.stateDir, "slash32.log");
  return {
    host,
    netns,
    logFile,
    containerId: `${pod}-0123456789abcdef`,
    args: `K8S_POD_NAME=${pod};IgnoreUnknown=1;K8S_POD_NAMESPACE=default`,
    netconf: netconf(host, { logFile, ...keys }),
    env: { TRACEPARENT: TRACE },
  };
}

function entries(file: string): Record<string, unknown>[] {
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("the log", () => {
  test("has a line a verb: when, what, whose, what came of it, how long, and what took longest", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const call = logged(host, pod, "web");
    const result = succeeded(add(call));
    silent(check({ ...call, netconf: { ...call.netconf, prevResult: result } }));
    silent(status(call));
    const { code, msg } = refused(add({ ...call, ifName: "lo" }), 102);
    silent(del(call));
    const whole = entries(call.logFile);
    expect(whole.map(({ verb }) => verb)).toEqual(["ADD", "CHECK", "ADD", "DEL"]);
    expect(whole[0]).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      verb: "ADD",
      network: "podnet",
      containerId: "web-0123456789abcdef",
      ifName: "eth0",
      netns: pod.path,
      pod: "default/web",
      trace: TRACE,
      ms: expect.any(Number),
      result,
      slowest: [expect.anything(), expect.anything(), expect.anything()],
    });
    expect(whole[2]).toMatchObject({ ifName: "lo", error: { code, msg } });
    for (const { ms, slowest } of whole as { ms: number; slowest: { ms: number }[] }[]) {
      expect(slowest.every((part) => part.ms <= ms)).toBe(true);
      expect(slowest.map((part) => part.ms)).toEqual(slowest.map((part) => part.ms).sort((a, b) => b - a));
    }
  });

  test("at the level error has failures alone, at debug every part", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const call = logged(host, pod, "web", { logLevel: "error" });
    succeeded(add(call));
    expect(existsSync(call.logFile)).toBe(false);
    refused(add({ ...call, ifName: "lo" }), 102);
    expect(entries(call.logFile)).toMatchObject([{ error: { code: 102 } }]);
    silent(del({ ...call, netconf: { ...call.netconf, logLevel: "debug" } }));
    expect(entries(call.logFile)[1]).toMatchObject({ verb: "DEL", steps: expect.any(Array) });
  });

  test("has no STATUS that found all well, which runtimes poll, but one that did not, and all at debug", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const call = logged(host, pod, "web");
    succeeded(add(call));
    silent(status(call));
    expect(entries(call.logFile).map(({ verb }) => verb)).toEqual(["ADD"]);
    host.setSysctl("net.ipv4.ip_forward", "0");
    refused(status(call), 51);
    host.setSysctl("net.ipv4.ip_forward", "1");
    silent(status({ ...call, netconf: { ...call.netconf, logLevel: "debug" } }));
    expect(entries(call.logFile).slice(1)).toMatchObject([
      { verb: "STATUS", error: { code: 51 } },
      { verb: "STATUS", steps: expect.any(Array) },
    ]);
  });

  test("has every line of verbs at the same time, though it fills up among them", async () => {
    using host = new TestHost();
    using pods = new DisposableStack();
    const calls = Array.from({ length: 12 }, (_, at) => logged(host, pods.use(new TestNetns()), `pod${at}`));
    const { logFile } = calls[0] as (typeof calls)[number];
    writeFileSync(logFile, "");
    truncateSync(logFile, 10 * 1024 * 1024 - 3000);
    appendFileSync(logFile, "\n");
    const outcomes = await Promise.all(calls.map((call) => pluginAsync("ADD", call)));
    outcomes.forEach(succeeded);
    const both = [`${logFile}.1`, logFile].map((file) => readFileSync(file, "utf8").replaceAll("\0", ""));
    const lines = both.join("").split("\n").filter(Boolean);
    expect(lines.map((line) => JSON.parse(line).pod).sort()).toEqual(
      calls.map((_, at) => `default/pod${at}`).sort(),
    );
  });

  test.each<[string, (file: string) => void]>([
    [
      "a full disk",
      (file) => {
        const disk = `${file}.disk`;
        mkdirSync(disk);
        execaSync("mount", ["-t", "tmpfs", "-o", "size=8k", "tmpfs", disk]);
        execaSync("sh", [
          "-c",
          `head -c 100000 /dev/zero >${disk}/zeroes 2>/dev/null; ln -s ${disk}/log ${file}`,
        ]);
      },
    ],
    ["a pipe that nobody reads", (file) => void execaSync("mkfifo", [file])],
    ["a directory in its place", (file) => mkdirSync(file)],
    ["a loop of links", (file) => void execaSync("ln", ["-s", file, file])],
  ])("%s costs the line, not the pod", (name, prepare) => {
    using host = new TestHost();
    using pod = new TestNetns();
    const call = logged(host, pod, "web");
    prepare(call.logFile);
    succeeded(add(call));
    expect(pod.ping("198.51.100.1")).toMatchObject({ received: 1 });
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
    if (name === "a full disk") execaSync("umount", [`${call.logFile}.disk`]);
  });

  test("is cut where the disk is full, and goes on when there is room again", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const call = logged(host, pod, "web");
    const disk = `${call.logFile}.disk`;
    mkdirSync(disk);
    execaSync("mount", ["-t", "tmpfs", "-o", "size=8k", "tmpfs", disk]);
    const netconf = { ...call.netconf, logFile: join(disk, "log") };
    const filler = `${JSON.stringify({ time: "2020-01-01T00:00:00.000Z", verb: "ADD", pod: "x".repeat(40) })}\n`;
    writeFileSync(netconf.logFile, filler.repeat(Math.floor(8000 / filler.length)));
    for (const _ of [1, 2]) silent(del({ ...call, netconf }));
    appendFileSync(join(host.stateDir, "moved"), readFileSync(join(disk, "log")));
    execaSync("umount", [disk]);
    succeeded(add({ ...call, netconf: { ...netconf, logFile: join(host.stateDir, "moved") } }));
    const { stdout, stderr } = slash32(host, ["log", "--file", join(host.stateDir, "moved")]);
    const lines = stdout.split("\n");
    expect(lines.at(-1)).toContain("10.20.1.2/32");
    expect(stderr).toBe("slash32 log: 1 line or part of one could not be read");
  });
});

describe("slash32 log", () => {
  /** A host with two pods' stories on it: web came and went, db came and could not come twice. */
  class Scene extends TestHost {
    readonly #pods = new DisposableStack();
    readonly web = logged(this, this.#pods.use(new TestNetns()), "web");
    readonly db = logged(this, this.#pods.use(new TestNetns()), "db");
    readonly file = this.web.logFile;

    constructor() {
      super();
      succeeded(add(this.web));
      succeeded(add(this.db));
      refused(add({ ...this.db, ifName: "lo" }), 102);
      silent(del(this.web));
    }

    log(...args: string[]) {
      return slash32(this, ["log", "--file", this.file, ...args]);
    }

    /** Verb and pod of each line. */
    told(...args: string[]): string[] {
      const { stdout, exitCode, stderr } = this.log(...args);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
      return stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => line.split(/ +/).slice(2, 5).join(" "));
    }

    override [Symbol.dispose](): void {
      this.#pods.dispose();
      super[Symbol.dispose]();
    }
  }

  test("tells each verb in a line: when, what, whose, how long, what came of it", () => {
    using host = new Scene();
    const [web, db, again, gone] = host.log().stdout.split("\n");
    const time = String.raw`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z`;
    expect(web).toMatch(
      new RegExp(
        `${time}  ADD  default/web eth0  podnet  +[\\d.]+ ms  10\\.20\\.1\\.2/32  \\(.+ [\\d.]+, .+\\)$`,
      ),
    );
    expect(db).toMatch(
      new RegExp(`${time}  ADD  default/db eth0   podnet  +[\\d.]+ ms  10\\.20\\.1\\.3/32  \\(`),
    );
    expect(again).toMatch(/ADD {2}default\/db lo .* ms {2,}102 KernelRefused: Cannot ip link add/);
    expect(gone).toMatch(/DEL {2}default\/web eth0 /);
  });

  test("of one pod, one container, one verb, failures, the last ones", () => {
    using host = new Scene();
    const [web, db] = ["default/web eth0", "default/db eth0"];
    expect(host.told()).toEqual([`ADD ${web}`, `ADD ${db}`, "ADD default/db lo", `DEL ${web}`]);
    expect(host.told("--pod", "default/web")).toEqual([`ADD ${web}`, `DEL ${web}`]);
    expect(host.told("--pod", "db")).toEqual([`ADD ${db}`, "ADD default/db lo"]);
    expect(host.told("--pod", "b")).toEqual([]);
    expect(host.told("--container", "db-0123")).toEqual([`ADD ${db}`, "ADD default/db lo"]);
    expect(host.told("--verb", "del")).toEqual([`DEL ${web}`]);
    expect(host.told("--failed")).toEqual(["ADD default/db lo"]);
    expect(host.told("--last", "1", "--pod", "web")).toEqual([`DEL ${web}`]);
  });

  test("as it was written, for programs", () => {
    using host = new Scene();
    const { stdout } = host.log("--json", "--pod", "web");
    const lines = readFileSync(host.file, "utf8").split("\n");
    expect(stdout.split("\n")).toEqual([lines[0], lines[3]]);
  });

  test("finds the file by the runtime's configuration", () => {
    using host = new Scene();
    const { cniVersion, name, ...plugin } = host.web.netconf as Record<string, unknown>;
    const directory = join(host.stateDir, "net.d");
    mkdirSync(directory);
    writeFileSync(
      join(directory, "10-podnet.conflist"),
      JSON.stringify({ cniVersion, name, plugins: [plugin] }),
    );
    expect(slash32(host, ["log", "--cni-conf-dir", directory]).stdout).toBe(host.log().stdout);
  });

  test("reads what was put aside, the oldest first", () => {
    using host = new Scene();
    const before = host.log().stdout;
    const lines = readFileSync(host.file, "utf8").trimEnd().split("\n");
    writeFileSync(`${host.file}.2`, `${lines[0]}\n`);
    writeFileSync(`${host.file}.1`, `${lines[1]}\n${lines[2]}\n`);
    writeFileSync(host.file, `${lines[3]}\n`);
    expect(host.log().stdout).toBe(before);
  });

  test("in little memory, however much there is", async () => {
    using host = new Scene();
    const [line = ""] = readFileSync(host.file, "utf8").split("\n");
    writeFileSync(`${host.file}.1`, `${line}\n`.repeat(20_000));
    for (const [args, count] of [
      [["--last", "3"], 3],
      [[], 20_004],
    ] as const) {
      const following = execa(EXECUTABLE, ["log", "--file", host.file, "--follow", ...args], {
        reject: false,
      });
      let lines = 0;
      following.stdout.on("data", (chunk: Buffer) => {
        lines += chunk.toString().split("\n").length - 1;
      });
      await expect.poll(() => lines, { timeout: 20_000 }).toBe(count);
      const [, peak] =
        /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${following.pid}/status`, "utf8")) ?? [];
      expect(Number(peak)).toBeLessThan(20_000);
      following.kill();
      await following;
    }
  });

  test("of several files in the order of time", () => {
    using host = new Scene();
    const before = host.log().stdout;
    const lines = readFileSync(host.file, "utf8").trimEnd().split("\n");
    const other = `${host.file}-other`;
    writeFileSync(other, `${lines[1]}\n${lines[3]}\n`);
    writeFileSync(host.file, `${lines[0]}\n${lines[2]}\n`);
    expect(host.log("--file", other).stdout).toBe(before);
  });

  test("bears lines that are none: they are counted", () => {
    using host = new Scene();
    const before = host.log().stdout;
    appendFileSync(host.file, '\nnonsense\n[]\n{"time":"2020-01-01T00:00:00Z","ver');
    const cut = host.log();
    expect(cut.stdout).toBe(before);
    expect(cut.stderr).toBe("slash32 log: 3 lines or parts of them could not be read");
    appendFileSync(
      host.file,
      '{"time":"2099-01-01T00:00:00.000Z","verb":"ADD"}\n{"verb":7,"pod":[],"result":{"ips":4}}\n',
    );
    expect(host.log("--last", "1").stdout).toMatch(/^2099-01-01 00:00:00\.000Z +ADD +-/);
  });

  test("follows: what comes, also after the file was put aside", async () => {
    using host = new Scene();
    const following = execa(EXECUTABLE, ["log", "--file", host.file, "--follow", "--pod", "db", "--json"], {
      reject: false,
      timeout: 20_000,
    });
    let seen = "";
    following.stdout.on("data", (chunk) => {
      seen += chunk;
    });
    const told = () =>
      seen
        .split("\n")
        .filter(Boolean)
        .map((line) => `${JSON.parse(line).verb} ${JSON.parse(line).ifName}`);
    await expect.poll(told, { timeout: 5000 }).toEqual(["ADD eth0", "ADD lo"]);
    silent(del(host.db));
    await expect.poll(told, { timeout: 5000 }).toEqual(["ADD eth0", "ADD lo", "DEL eth0"]);
    renameSync(host.file, `${host.file}.1`);
    succeeded(add(host.db));
    await expect.poll(told, { timeout: 5000 }).toEqual(["ADD eth0", "ADD lo", "DEL eth0", "ADD eth0"]);
    following.kill();
    await following;
  });

  test.each([
    [["--file", "/nowhere/log"], 1, /Cannot read \/nowhere\/log: no such file/],
    [["--cni-conf-dir", "/nowhere"], 1, /no configuration in \/nowhere has a logFile/],
    [["--last", "x"], 2, /--last is "x", expected a number/],
    [["web"], 2, /log takes no "web"/],
    [["--frobnicate"], 2, /frobnicate/],
  ])("%j is exit status %i", (args, status, words) => {
    using host = new TestHost();
    const file = join(host.stateDir, "log");
    writeFileSync(file, "");
    const given =
      args.includes("--file") || args.includes("--cni-conf-dir") ? args : ["--file", file, ...args];
    const { exitCode, stderr } = slash32(host, ["log", ...given]);
    expect(exitCode).toBe(status);
    expect(stderr).toMatch(words);
  });
});
