// slash32 conflist: what it prints is what a node can use at once.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { answering, ask } from "../helpers/answering.ts";
import { slash32 } from "../helpers/command.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";

const DEBIAN = "/usr/lib/cni";

/** The list, parsed; every word of it on standard output, nothing beside. */
function printed(host: TestHost, ...args: string[]) {
  const { stdout, stderr, exitCode } = slash32(host, ["conflist", ...args]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return JSON.parse(stdout);
}

/** A directory of plugins for a runtime. */
function binDir(host: TestHost, ...debians: string[]): string {
  const directory = join(host.stateDir, "bin");
  mkdirSync(directory);
  for (const name of debians) symlinkSync(join(DEBIAN, name), join(directory, name));
  return directory;
}

describe("what it prints", () => {
  test("is slash32 alone in what every runtime speaks, where there is nothing else", () => {
    using host = new TestHost();
    expect(printed(host, "--bin-dir", binDir(host), "--pod-cidr", "10.20.1.0/24")).toEqual({
      cniVersion: "1.0.0",
      name: "podnet",
      plugins: [
        {
          type: "slash32",
          ipam: { type: "slash32", ranges: [[{ subnet: "10.20.1.0/24" }]] },
          capabilities: { ips: true, mac: true, ipRanges: true, dns: true },
        },
      ],
    });
  });

  test("has portmap and bandwidth behind it where they are, in a version that all speak", () => {
    using host = new TestHost();
    const list = printed(host, "--bin-dir", DEBIAN, "--pod-cidr", "10.20.1.0/24", "--name", "pods");
    expect(list).toMatchObject({ cniVersion: "1.0.0", name: "pods" });
    expect(list.plugins.slice(1)).toEqual([
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ]);
  });

  test("is in an old version where one of them cannot be asked, as in a container without its libraries", () => {
    using host = new TestHost();
    const directory = binDir(host);
    writeFileSync(join(directory, "portmap"), "#!/nowhere/loader\n", { mode: 0o755 });
    const args = ["--bin-dir", directory, "--pod-cidr", "10.20.1.0/24"];
    expect(printed(host, ...args).cniVersion).toBe("0.4.0");
    expect(printed(host, ...args, "--cni-version", "1.0.0").cniVersion).toBe("1.0.0");
  });

  test("has one of them where only one is there, and none that cannot be executed", () => {
    using host = new TestHost();
    const directory = binDir(host, "portmap");
    writeFileSync(join(directory, "bandwidth"), "not executable");
    const { plugins } = printed(host, "--bin-dir", directory, "--pod-cidr", "10.20.1.0/24");
    expect(plugins.map(({ type }: { type: string }) => type)).toEqual(["slash32", "portmap"]);
  });

  test("takes two ranges for two families, a version, and a place for the log", () => {
    using host = new TestHost();
    const ranges = ["--pod-cidr", "10.20.1.0/24", "--pod-cidr", "fd00:20:1::/64"];
    const others = ["--cni-version", "0.4.0", "--log-file", "/var/log/slash32.log"];
    expect(printed(host, "--bin-dir", DEBIAN, ...ranges, ...others)).toMatchObject({
      cniVersion: "0.4.0",
      plugins: [
        {
          ipam: { ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20:1::/64" }]] },
          logFile: "/var/log/slash32.log",
        },
        {},
        {},
      ],
    });
  });

  test("without a range names the node's own, and says when that is not known yet", () => {
    using host = new TestHost();
    const { stdout, stderr, exitCode } = slash32(host, ["conflist", "--bin-dir", binDir(host)]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).plugins[0].ipam.ranges).toEqual([[{ subnet: "usePodCidr" }]]);
    expect(stderr).toMatch(/pod CIDR is not in \/run\/slash32\/node\.json/);
  });
});

test("a list runner makes a pod of it, with a port and a limit, and takes it away again", async () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const list = printed(host, "--bin-dir", DEBIAN, "--pod-cidr", "10.77.1.0/24", "--name", "printed");
  const runner = new ListRunner(host, list);
  const rate = {
    ingressRate: 10_000_000,
    ingressBurst: 1_000_000,
    egressRate: 10_000_000,
    egressBurst: 1_000_000,
  };
  const capabilities = {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    bandwidth: rate,
    ips: ["10.77.1.9"],
    mac: "02:11:22:33:44:55",
  };
  const attachment = { containerId: "web", netns: pod, capabilities };
  expect(runner.add(attachment)).toMatchObject({ ips: [{ address: "10.77.1.9/32" }] });
  await using _ = await answering(pod, 80);
  expect(ask(host.router, "tcp", "192.0.2.1", 8080)).toBe("tcp 192.0.2.254");
  runner.del(attachment);
  expect(remains(host, "printed")).toEqual(NOTHING);
});

test("alone in 1.1.0, as it was asked for, a list runner asks STATUS, CHECK and GC of it as well", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const list = printed(
    host,
    ...["--bin-dir", binDir(host), "--pod-cidr", "10.77.2.0/24", "--name", "alone", "--cni-version", "1.1.0"],
  );
  const runner = new ListRunner(host, list);
  const attachment = { containerId: "web", netns: pod };
  runner.status();
  runner.add(attachment);
  runner.check(attachment);
  runner.gc([attachment]);
  runner.check(attachment);
  runner.gc([]);
  expect(remains(host, "alone")).toEqual(NOTHING);
});

test.each([
  ["is no program of this machine's", "\x7fELF", "Exec format error"],
  ["fails", "#!/bin/sh\nexit 3\n", "it exited with 3 and printed no error object"],
  ["answers nonsense", "#!/bin/sh\necho '[]'\n", "it has no supportedVersions"],
])("a plugin that %s is told with its cause, and needs a version by hand", (_, program, cause) => {
  using host = new TestHost();
  const directory = binDir(host);
  writeFileSync(join(directory, "portmap"), program, { mode: 0o755 });
  const args = ["--bin-dir", directory, "--pod-cidr", "10.20.1.0/24"];
  const { stdout, stderr, exitCode } = slash32(host, ["conflist", ...args]);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  expect(stderr).toMatch(/^slash32 conflist: Cannot tell what portmap speaks: [^\n]+$/);
  expect(stderr).toContain(
    `${cause}; name a version that it speaks with --cni-version, or take portmap out of ${directory}`,
  );
  const { cniVersion, plugins } = printed(host, ...args, "--cni-version", "1.0.0");
  expect({ cniVersion, follower: plugins[1].type }).toEqual({ cniVersion: "1.0.0", follower: "portmap" });
});

test.each([
  [["--pod-cidr", "10.20.1.0/33"], /subnet is "10\.20\.1\.0\/33", expected/],
  [["--name", "../x", "--pod-cidr", "10.20.1.0/24"], /name is "\.\.\/x"/],
  [
    ["--cni-version", "1.1", "--pod-cidr", "10.20.1.0/24"],
    /--cni-version is "1\.1", expected one of 0\.1\.0,/,
  ],
  [["--cni-version", "1.1.0", "--pod-cidr", "10.20.1.0/24"], /portmap does not speak CNI 1\.1\.0/],
  [["--log-file", "log", "--pod-cidr", "10.20.1.0/24"], /logFile is "log", expected/],
  [["please"], /conflist takes no "please"/],
])("%j is not understood: exit status 2, and nothing on standard output", (args, words) => {
  using host = new TestHost();
  const { stdout, stderr, exitCode } = slash32(host, ["conflist", "--bin-dir", DEBIAN, ...args]);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
  expect(stderr).toMatch(words);
});
