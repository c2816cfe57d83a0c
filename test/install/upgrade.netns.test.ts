// Upgrade and downgrade: what one version wrote is used by the other, and pods never notice.
import { Database } from "bun:sqlite";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { slash32 } from "../helpers/command.ts";
import { CONFLIST, InstallNode, POD_CIDR } from "../helpers/installed.ts";
import type { TestNetns } from "../helpers/lab.ts";
import { OtherVersion } from "../helpers/other-version.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

const POD = ["10.20.1.2", "fd00:20:1::2"] as const;
const RANGES = ["--pod-cidr", POD_CIDR, "--pod-cidr", "fd00:20:1::/64"];

let next: OtherVersion;
beforeAll(async () => {
  next = await OtherVersion.make("9.9.9");
});
afterAll(() => next[Symbol.dispose]());

/** Pings without a break from when it is made until it is asked, a hundred times a second. */
class Pings {
  readonly #child: ChildProcess;
  #printed = "";

  constructor(from: TestNetns, address: string) {
    const ping = ["ping", "-n", "-i", "0.01", "-q", address];
    this.#child = spawn("nsenter", [`--net=${from.path}`, "--", ...ping], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#child.stdout?.on("data", (text) => {
      this.#printed += text;
    });
  }

  async lost(): Promise<{ lost: number; sent: number }> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGINT");
    await ended;
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(this.#printed) ?? [];
    return { lost: Number(sent) - Number(received), sent: Number(sent) };
  }
}

function install(node: InstallNode, executable: string, ...args: readonly string[]): string {
  const { stdout, stderr, exitCode } = node.install([...RANGES, ...args], { executable });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout;
}

function version(node: InstallNode): string {
  return node.host.exec(node.at("/opt/cni/bin/slash32"), "--version").stdout;
}

test("up and down again: pods are reached all the time, CHECK passes, DEL takes away, and nothing remains", async () => {
  using node = new InstallNode();
  install(node, EXECUTABLE);
  const ours = version(node);
  const first = node.pod("first");
  const pings = [
    ...POD.map((address) => new Pings(node.host.router, address)),
    new Pings(first, "198.51.100.1"),
  ];
  const list = node.read(CONFLIST);

  // Up. What the version before wrote is used.
  expect(install(node, next.executable)).toMatch(/✓ executable [\s\S]*· node file [\s\S]*· list /);
  expect(version(node)).toBe("slash32 9.9.9");
  const later = node.runtime();
  check(node, "first", first);
  const second = node.pod("second", later);
  expect(second.ping(POD[0]).received).toBe(1);

  // Down. What the version after wrote is used.
  expect(install(node, EXECUTABLE)).toMatch(/✓ executable [\s\S]*· node file [\s\S]*· list /);
  expect([version(node), node.read(CONFLIST)]).toEqual([ours, list]);
  check(node, "first", first);
  check(node, "second", second);
  const third = node.pod("third");
  expect(third.ip("-4", "address", "show", "eth0")).toMatchObject([{ addr_info: [{ local: "10.20.1.4" }] }]);

  for (const { lost, sent } of await Promise.all(pings.map((one) => one.lost()))) {
    expect(lost).toBe(0);
    expect(sent).toBeGreaterThan(5);
  }
  for (const name of ["first", "second", "third"]) node.runtime().del({ containerId: name });
  expect(node.uninstall()).toMatchObject({ exitCode: 0 });
  expect({ files: node.files(), ...remains(node.host) }).toEqual({ files: [], ...NOTHING });
});

test("a version before takes what one after has added: keys of node.json and of the list that it does not know", () => {
  using node = new InstallNode();
  install(node, next.executable);
  const added = { ...JSON.parse(node.read("/run/slash32/node.json")), addedLater: true };
  node.write("/run/slash32/node.json", JSON.stringify(added));
  const list = JSON.parse(node.read(CONFLIST));
  node.write(CONFLIST, JSON.stringify({ ...list, plugins: [{ ...list.plugins[0], addedLater: {} }] }));
  expect(node.pod("first").ping("198.51.100.1").received).toBe(1);
  // It replaces both by its own, and what remains is nothing.
  expect(install(node, EXECUTABLE)).toMatch(/✓ node file [\s\S]*✓ list /);
  expect(node.uninstall("--force")).toMatchObject({ exitCode: 0 });
  expect(node.files()).toEqual([]);
});

describe("what 0.1.0 wrote", () => {
  const WRITTEN = join(import.meta.dirname, "../fixtures/written-by-0.1.0");
  const written = (name: string) => readFileSync(join(WRITTEN, name), "utf8");
  const tables = (database: Database) =>
    database.query("SELECT name, sql FROM sqlite_master ORDER BY name").all();
  const version = (database: Database) => database.query("PRAGMA user_version").get();

  /** With its leases, node file, list and log; its pods' sandboxes and cables are gone. */
  function nodeAsLeft(): InstallNode {
    const node = new InstallNode();
    node.write(CONFLIST, written("10-slash32.conflist"));
    node.write("/run/slash32/node.json", written("node.json"));
    node.write("/var/log/slash32.log", written("slash32.log"));
    mkdirSync(node.at("/run/slash32/podnet"));
    using database = new Database(node.at("/run/slash32/podnet/leases.db"));
    database.run(written("leases.sql"));
    node.write("/run/slash32/podnet/lock", "");
    copyFileSync(EXECUTABLE, node.at("/opt/cni/bin/slash32"));
    for (const file of [CONFLIST, "/run/slash32/node.json"]) chmodSync(node.at(file), 0o600);
    return node;
  }

  test("is read: its pods have their addresses, the next gets the next, and nothing remains", () => {
    using node = nodeAsLeft();
    const told = slash32(node.host, ["log", "--file", node.at("/var/log/slash32.log")]).stdout;
    expect(told.split("\n").map((line) => line.split(/ +/).slice(2, 4).join(" "))).toEqual([
      "ADD default/first",
      "ADD default/second",
      "DEL second",
      "ADD default/third",
    ]);
    for (const [name, last] of [
      ["first", 2],
      ["third", 4],
      ["fourth", 5],
      ["second", 6],
    ] as const) {
      const pod = node.pod(name);
      check(node, name, pod);
      const [eth0] = pod.ip("address", "show", "eth0", "scope", "global") as {
        addr_info: { local?: string }[];
      }[];
      const addresses = eth0?.addr_info.flatMap(({ local }) => local ?? []); // iproute2 leaves an empty object for fe80::
      expect(addresses).toEqual([`10.20.1.${last}`, `fd00:20:1::${last}`]);
    }
    const said = ["--log-file", "/var/log/slash32.log", "--cni-version", "1.1.0"];
    const again = install(node, EXECUTABLE, ...said);
    expect(again).toMatch(/· executable .*\n· node file .*\n· list /);
    for (const name of ["first", "second", "third", "fourth"]) node.runtime().del({ containerId: name });
    expect(node.uninstall()).toMatchObject({ exitCode: 0 });
    expect({ files: node.files(), ...remains(node.host) }).toEqual({ files: [], ...NOTHING });
  });

  test("has the tables that are made today: another schema needs a way there and back, and another fixture", () => {
    using node = new InstallNode();
    install(node, EXECUTABLE);
    node.pod("first");
    using now = new Database(node.at("/run/slash32/podnet/leases.db"));
    using then = new Database(":memory:");
    then.run(written("leases.sql"));
    expect({ tables: tables(now), version: version(now) }).toEqual({
      tables: tables(then),
      version: version(then),
    });
  });
});

/** By a person, as the runtime's memory of the pod is not at hand: it compares everything as CHECK does. */
function check(node: InstallNode, name: string, pod: TestNetns): void {
  const args = [
    "check",
    `default/${name}`,
    "--state-dir",
    node.at("/run/slash32"),
    "--cni-conf-dir",
    node.at("/etc/cni/net.d"),
  ];
  const { stdout, exitCode } = node.host.exec(node.at("/opt/cni/bin/slash32"), ...args);
  expect({ exitCode, stdout }).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("is as ADD left it"),
  });
  expect(pod.ping("198.51.100.1").received).toBe(1);
}
