// slash32 ipam: the store held against the kernel. Both are broken here with ip(8) and sqlite3(1), and judged by them.
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { attachmentNumber, hostEndName } from "../../src/datapath/endpoint.ts";
import { LockFile } from "../../src/lock.ts";
import { slash32 } from "../helpers/command.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { difference, picture, settle } from "../helpers/picture.ts";
import { add, check, del, type NetworkConfiguration, netconf, status } from "../helpers/plugin.ts";

const WORLD = "198.51.100.1";
const DUAL = { ipam: { ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]] } };

/** A host with pods "a", "b", … that hold 10.20.1.2, 10.20.1.3, …. */
class Node implements Disposable {
  readonly host = new TestHost();
  readonly pods: Record<string, TestNetns> = {};
  readonly config: NetworkConfiguration;

  constructor(names: string, overrides: NetworkConfiguration = {}) {
    this.config = netconf(this.host, overrides);
    for (const name of names) this.attach(name);
  }

  attach(name: string): string | undefined {
    const pod = new TestNetns("pod");
    this.pods[name] = pod;
    const args = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;
    return succeeded(add({ ...this.call(name), netns: pod, args })).ips?.[0]?.address;
  }

  call(containerId: string) {
    return { host: this.host, netconf: this.config, containerId };
  }

  end(containerId: string): string {
    return hostEndName("cali", { network: "podnet", containerId, ifName: "eth0" });
  }

  get database(): string {
    return join(this.host.stateDir, "podnet", "leases.db");
  }

  /** Lines as sqlite3 prints them, columns apart by "|". */
  sql(statement: string): string[] {
    const { stdout } = execaSync("sqlite3", [this.database, statement]);
    return stdout === "" ? [] : stdout.split("\n");
  }

  /** "container/interface address", as the database has it. */
  leases(): string[] {
    return this.sql(
      "SELECT container_id || '/' || if_name || ' ' || lower(hex(address)) FROM attachment LEFT JOIN address ON held_by = id ORDER BY 1",
    );
  }

  ipam(...args: string[]) {
    return slash32(this.host, ["ipam", ...args, "--state-dir", this.host.stateDir]);
  }

  /** "kind attachment" of every finding. */
  findings(...args: string[]): string[] {
    const { stdout, stderr, exitCode } = this.ipam("check", "--json", ...args);
    expect(stderr).toBe("");
    const { findings } = JSON.parse(stdout) as { findings: { kind: string; attachment?: string }[] };
    expect(exitCode).toBe(findings.length === 0 ? 0 : 1);
    return findings.map(({ kind, attachment = "-" }) => `${kind} ${attachment}`);
  }

  state(): string[] {
    for (const netns of [this.host, ...this.sandboxes]) settle(netns);
    const files = readdirSync(this.host.stateDir, { recursive: true }).map((name) => `file ${name}`);
    return [...picture(this.host), ...this.sandboxes.flatMap(picture), ...files, ...dump(this.database)];
  }

  get sandboxes(): TestNetns[] {
    return Object.values(this.pods).filter(({ path }) => existsSync(path));
  }

  [Symbol.dispose](): void {
    for (const pod of Object.values(this.pods)) pod[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

function dump(path: string): string[] {
  if (!existsSync(path)) return [];
  return execaSync("sqlite3", [path, ".dump"], { reject: false }).stdout.split("\n");
}

const LEASES = ["a/eth0 0a140102", "b/eth0 0a140103"];

describe("agreement", () => {
  test.each([
    ["one address", {}],
    ["two", DUAL],
  ])("of store and kernel with %s a pod is exit status 0, and nothing to repair", (_, config) => {
    using node = new Node("ab", config);
    const before = node.state();
    expect(node.ipam("check")).toEqual({ stdout: "store and kernel agree", stderr: "", exitCode: 0 });
    expect(node.ipam("repair")).toEqual({ stdout: "nothing to settle", stderr: "", exitCode: 0 });
    expect(node.ipam("show")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(difference(before, node.state())).toEqual({ gone: [], came: [] });
  });

  test("of a host that has no store is not disturbed by looking", () => {
    using host = new TestHost();
    for (const command of ["check", "repair", "show"]) {
      expect(slash32(host, ["ipam", command, "--state-dir", host.stateDir])).toMatchObject({ exitCode: 0 });
    }
    expect(readdirSync(host.stateDir)).toEqual([]);
  });

  test("covers another IPAM plugin's addresses", () => {
    using node = new Node("", {
      cniVersion: "1.0.0",
      ipam: { type: "host-local", subnet: "10.9.0.0/24", dataDir: "/run/lab-host-local" },
    });
    const pod = new TestNetns("pod");
    node.pods.a = pod;
    succeeded(add({ ...node.call("a"), netns: pod, path: "/usr/lib/cni" }));
    expect(node.findings()).toEqual([]);
    expect(node.ipam("show").stdout).toContain("10.9.0.");
    node.host.ip("link", "delete", node.end("a"));
    expect(node.findings()).toEqual(["lease-without-link podnet/a/eth0"]);
    // Only the runtime can have the other plugin told.
    expect(node.ipam("repair")).toMatchObject({ exitCode: 1 });
    expect(node.leases()).toEqual(["a/eth0 "]);
    silent(del({ ...node.call("a"), path: "/usr/lib/cni" }));
    expect(node.findings()).toEqual([]);
  });
});

type Break = (node: Node) => void;
const host =
  (...commands: string[]): Break =>
  ({ host }) =>
    host.ipBatch(...commands);

describe("every disagreement is named alone, and settled", () => {
  const faults: readonly [string, Break, string[]][] = [
    [
      "a lease without a host end",
      (node) => node.host.ip("link", "delete", node.end("a")),
      ["lease-without-link podnet/a/eth0"],
    ],
    [
      "a pod whose sandbox was removed behind our back",
      (node) => {
        node.pods.a?.[Symbol.dispose]();
        // The kernel takes its time, also with many tests beside this one.
        while (node.host.exec("ip", "link", "show", node.end("a")).exitCode === 0) Bun.sleepSync(20);
      },
      ["lease-without-link podnet/a/eth0"],
    ],
    [
      "a lease without its host route",
      host("route delete 10.20.1.2 proto 32"),
      ["lease-without-route podnet/a/eth0"],
    ],
    [
      "a lease without its neighbour",
      (node) => node.host.ip("neigh", "delete", "10.20.1.2", "dev", node.end("a")),
      ["lease-without-neighbour podnet/a/eth0"],
    ],
    [
      "a neighbour with another MAC",
      (node) =>
        node.host.ip(
          "neigh",
          "replace",
          "10.20.1.2",
          "lladdr",
          "02:00:00:00:00:01",
          "dev",
          node.end("a"),
          "nud",
          "permanent",
        ),
      ["lease-without-neighbour podnet/a/eth0"],
    ],
    [
      "a host route by our mark through another pod's host end",
      (node) =>
        node.host.ipBatch(
          "route delete 10.20.1.2 proto 32",
          `route add 10.20.1.2 dev ${node.end("b")} proto 32`,
        ),
      ["route-elsewhere podnet/a/eth0"],
    ],
    [
      "a host end that is down, and lost its routes with it",
      (node) => node.host.ip("link", "set", node.end("a"), "down"),
      [
        "link-down podnet/a/eth0",
        "lease-without-route podnet/a/eth0",
        "lease-without-neighbour podnet/a/eth0",
      ],
    ],
    [
      "a host route by our mark to what nobody holds",
      host("route add 10.20.1.77 dev uplink0 proto 32"),
      ["route-without-lease -"],
    ],
    [
      "a host route by our mark through a pod that does not hold the address",
      (node) => node.host.ip("route", "add", "10.20.1.77", "dev", node.end("b"), "proto", "32"),
      ["route-without-lease podnet/b/eth0"],
    ],
    [
      "a host end whose lease is lost",
      (node) =>
        node.sql(
          "UPDATE address SET held_by = NULL, freed = 9 WHERE hex(address) = '0A140102'; DELETE FROM attachment WHERE container_id = 'a'",
        ),
      ["link-without-lease podnet/a/eth0"],
    ],
    [
      "an attachment whose address is lost",
      (node) => node.sql("DELETE FROM address WHERE hex(address) = '0A140102'"),
      ["lease-without-address podnet/a/eth0"],
    ],
    ["an empty database", (node) => truncateSync(node.database, 0), ["store-missing -"]],
    ["a database that is lost", (node) => rmSync(node.database), ["store-missing -"]],
    ["a database that is cut short", (node) => truncateSync(node.database, 6000), ["store-damaged -"]],
    ["a database that is garbage", (node) => garble(node.database, 0), ["store-damaged -"]],
    ["a database with a garbled page", (node) => garble(node.database, 4096), ["store-damaged -"]],
  ];

  test.each(faults)("%s", (_, breakIt, expected) => {
    using node = new Node("ab");
    const leases = node.leases();
    expect(leases).toEqual(LEASES);
    settle(node.host);
    const complete = picture(node.host);
    breakIt(node);
    const broken = node.state();
    expect(node.findings().sort()).toEqual(expected.sort());
    const plan = JSON.parse(node.ipam("repair", "--dry-run", "--json").stdout);
    expect(plan.commands.length).toBeGreaterThan(0);
    expect(difference(broken, node.state())).toEqual({ gone: [], came: [] });

    const { stdout, stderr, exitCode } = node.ipam("repair");
    expect({ stderr, exitCode }, stdout).toEqual({ stderr: "", exitCode: 0 });
    expect(node.findings()).toEqual([]);
    const isGone = expected[0]?.startsWith("lease-without-link");
    expect(node.leases()).toEqual(isGone ? ["b/eth0 0a140103"] : LEASES);
    if (!isGone) {
      settle(node.host);
      expect(difference(complete, picture(node.host))).toEqual({ gone: [], came: [] });
      expect(node.pods.a?.ping(WORLD)).toMatchObject({ received: 1 });
    }
    expect(node.pods.b?.ping(WORLD)).toMatchObject({ received: 1 });
    expect(node.attach("c")).toBe("10.20.1.4/32");
    silent(del(node.call("b")));
    expect(node.findings()).toEqual([]);
  });

  test("several at once", () => {
    using node = new Node("abcd");
    node.host.ip("link", "delete", node.end("a"));
    node.host.ipBatch("route delete 10.20.1.3 proto 32", "route add 10.20.1.99 dev uplink0 proto 32");
    node.sql(
      "UPDATE address SET held_by = NULL, freed = 9 WHERE hex(address) = '0A140104'; DELETE FROM attachment WHERE container_id = 'c'",
    );
    expect(node.findings().sort()).toEqual([
      "lease-without-link podnet/a/eth0",
      "lease-without-route podnet/b/eth0",
      "link-without-lease podnet/c/eth0",
      "route-without-lease -",
    ]);
    const { stdout, exitCode } = node.ipam("repair");
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`slash32 ipam release --state-dir ${node.host.stateDir} podnet/a/eth0`);
    expect(stdout).toContain(`ip route add 10.20.1.3/32 dev ${node.end("b")} scope link proto 32`);
    expect(stdout).toContain("# record 10.20.1.4 as held by podnet/c/eth0");
    expect(stdout).toContain("ip route delete 10.20.1.99/32 dev uplink0 proto 32");
    expect(node.findings()).toEqual([]);
    expect(node.leases()).toEqual(["b/eth0 0a140103", "c/eth0 0a140104", "d/eth0 0a140105"]);
  });

  test("what dual stack lost is restored in both families", () => {
    using node = new Node("a", DUAL);
    settle(node.host);
    const complete = picture(node.host);
    node.host.ipBatch(
      "route delete 10.20.1.2 proto 32",
      "route delete fd00:20::2 proto 32",
      `neigh flush dev ${node.end("a")} nud permanent`,
    );
    garble(node.database, 0);
    expect(node.ipam("repair")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(node.leases()).toEqual(["a/eth0 0a140102", "a/eth0 fd000020000000000000000000000002"]);
    expect(difference(complete, picture(node.host))).toEqual({ gone: [], came: [] });
  });

  test("an orphan host end, to which nothing leads, is removed", () => {
    using node = new Node("ab");
    node.sql(
      "DELETE FROM address WHERE hex(address) = '0A140102'; DELETE FROM attachment WHERE container_id = 'a'",
    );
    node.host.ip("route", "delete", "10.20.1.2", "proto", "32");
    node.pods.a?.ip("address", "flush", "dev", "eth0");
    expect(node.findings()).toEqual(["link-without-lease podnet/a/eth0"]);
    const { stdout } = node.ipam("repair");
    expect(stdout).toContain(`ip link delete ${node.end("a")}`);
    expect(remains(node.host)).toMatchObject({ links: [node.end("b")], attachments: ["b/eth0"] });
  });
});

describe("what is not ours, or not for us to settle, is told and left", () => {
  const cases: readonly [string, Break, string][] = [
    [
      "somebody else's route to a leased address",
      host("route delete 10.20.1.2 proto 32", "route add 10.20.1.2 dev uplink0 proto static"),
      "route-not-ours podnet/a/eth0",
    ],
    ["the host's own address", host("address add 10.20.1.2/32 dev uplink0"), "address-of-host podnet/a/eth0"],
    [
      "an interface of somebody else's by the host end's name",
      (node) => {
        node.host.ip("link", "delete", node.end("a"));
        node.host.ip("link", "add", node.end("a"), "type", "veth", "peer", "name", "else0");
      },
      "link-not-ours podnet/a/eth0",
    ],
    [
      "a host end by another name",
      (node) => {
        node.host.ipBatch(`link set ${node.end("a")} down`, `link set ${node.end("a")} name renamed0`);
        node.host.ipBatch("link set renamed0 up");
      },
      "link-renamed podnet/a/eth0",
    ],
    [
      "a sandbox end by another name",
      ({ pods }) => renamed(pods.a as TestNetns),
      "sandbox-end-renamed podnet/a/eth0",
    ],
    [
      "a sandbox end without its address",
      ({ pods }) => pods.a?.ip("address", "flush", "dev", "eth0"),
      "sandbox-without-address podnet/a/eth0",
    ],
    [
      "a sandbox end that was moved to the host",
      ({ pods, host }) => {
        renamed(pods.a as TestNetns);
        pods.a?.exec("ip", "link", "set", "net9", "netns", "1");
        // The process's own namespace is the lab's: by the host's name instead.
        pods.a?.ip("link", "set", "net9", "netns", host.name);
      },
      "sandbox-end-on-host podnet/a/eth0",
    ],
  ];

  test.each(cases.filter(([title]) => !title.includes("moved")))("%s", (_, breakIt, expected) => {
    using node = new Node("ab");
    breakIt(node);
    const broken = node.state();
    expect(node.findings()).toContain(expected);
    expect(node.ipam("repair")).toMatchObject({ exitCode: 1 });
    expect(node.findings()).toContain(expected);
    const { gone } = difference(
      broken.filter((line) => /^(link|route|address)/.test(line)),
      node.state(),
    );
    expect(gone).toEqual([]);
  });

  test("a sandbox end that was moved to the host", () => {
    using node = new Node("a");
    renamed(node.pods.a as TestNetns);
    node.pods.a?.ip("link", "set", "net9", "netns", node.host.name);
    expect(node.findings()).toContain("sandbox-end-on-host podnet/a/eth0");
  });

  test("routes of others, links of others, and aliases that only look like ours", () => {
    using node = new Node("a");
    node.host.ipBatch(
      "route add 10.20.1.50 dev uplink0",
      "route add 10.20.1.51 dev uplink0 proto 33",
      "route add 10.30.0.0/16 dev uplink0 proto 32",
      "link add foreign0 type veth peer name foreign1",
      `link set foreign0 alias "slash32 podnet/x/eth0"`,
      `link set foreign1 alias "slash32 elsewhere"`,
    );
    const before = picture(node.host);
    node.ipam("repair");
    expect(difference(before, picture(node.host))).toEqual({ gone: [], came: [] });
    expect(node.leases()).toEqual(["a/eth0 0a140102"]);
    expect(node.findings()).toEqual(["link-without-lease -"]);
  });

  test("host ends of a network that has no store here, unless it is named", () => {
    using node = new Node("a");
    rmSync(join(node.host.stateDir, "podnet"), { recursive: true });
    expect(node.findings()).toEqual(["store-missing -"]);
    const { stdout, exitCode } = node.ipam("repair");
    expect(exitCode).toBe(1);
    expect(stdout).toContain("slash32 ipam repair --network podnet");
    expect(readdirSync(node.host.stateDir)).toEqual([]);
    expect(node.ipam("repair", "--network", "podnet")).toMatchObject({ exitCode: 0 });
    expect(node.leases()).toEqual(["a/eth0 0a140102"]);
    expect(node.findings()).toEqual([]);
  });

  test("a database of a newer slash32", () => {
    using node = new Node("a");
    node.sql("PRAGMA user_version = 7");
    const before = dump(node.database);
    expect(node.findings()).toEqual(["store-unreadable -"]);
    expect(node.ipam("repair")).toMatchObject({ exitCode: 1 });
    expect(dump(node.database)).toEqual(before);
    expect(refused(add({ ...node.call("b"), netns: node.pods.a as TestNetns }), 103).msg).toMatch(
      /schema is version 7, .*; run the slash32 that wrote it, or one that is newer$/,
    );
  });

  test("an address that two networks hold", () => {
    using node = new Node("a");
    const other = { ...node.config, name: "other" };
    const pod = new TestNetns("pod");
    node.pods.x = pod;
    node.host.ip("route", "delete", "10.20.1.2", "proto", "32");
    succeeded(add({ host: node.host, netconf: other, containerId: "x", netns: pod }));
    expect(node.findings().sort()).toEqual(["address-leased-twice -", "route-elsewhere podnet/a/eth0"]);
  });

  test("an address outside the ranges of the configuration", () => {
    using node = new Node("a");
    const file = join(node.host.stateDir, "netconf.json");
    writeFileSync(file, JSON.stringify({ ...node.config, ipam: { subnet: "10.20.2.0/24" } }));
    expect(node.findings()).toEqual([]);
    expect(node.findings("--netconf", file)).toEqual(["lease-outside-ranges podnet/a/eth0"]);
  });
});

describe("beside verbs at work", () => {
  test("an attachment whose lock is held is left to its holder", () => {
    using node = new Node("ab");
    node.host.ip("link", "delete", node.end("a"));
    const attachment = { network: "podnet", containerId: "a", ifName: "eth0" };
    using locks = new LockFile(join(node.host.stateDir, "podnet", "lock"));
    const lock = locks.hold(1n + (attachmentNumber(attachment) % (1n << 62n)));
    expect(node.findings()).toEqual([]);
    expect(node.ipam("repair").stdout).toContain("left to the verb that is at work on it: podnet/a/eth0");
    expect(node.leases()).toEqual(LEASES);
    lock[Symbol.dispose]();
    expect(node.findings()).toEqual(["lease-without-link podnet/a/eth0"]);
  });

  test("check and repair among adds and deletes find nothing, and break nothing", async () => {
    using node = new Node("");
    const sandboxes = Array.from({ length: 6 }, () => new TestNetns("pod"));
    for (const [at, pod] of sandboxes.entries()) node.pods[`p${at}`] = pod;
    const { pluginAsync } = await import("../helpers/plugin.ts");
    const churn = sandboxes.map(async (netns, at) => {
      const call = { ...node.call(`p${at}`), netns };
      for (let round = 0; round < 4; round++) {
        succeeded(await pluginAsync("ADD", call));
        if (round < 3) silent(await pluginAsync("DEL", call));
      }
    });
    let running = true;
    const all = Promise.all(churn).finally(() => {
      running = false;
    });
    const { execa } = await import("execa");
    const { EXECUTABLE } = await import("../helpers/plugin.ts");
    for (let round = 0; running; round++) {
      const command = round % 2 === 0 ? "repair" : "check";
      const args = [
        `--net=${node.host.path}`,
        EXECUTABLE,
        "ipam",
        command,
        "--json",
        "--state-dir",
        node.host.stateDir,
      ];
      const { stdout } = await execa("nsenter", args, { reject: false });
      const { findings = [], left = [], commands = [] } = JSON.parse(stdout);
      expect({ findings, left, commands }).toEqual({ findings: [], left: [], commands: [] });
    }
    await all;
    expect(remains(node.host)).toMatchObject({ links: { length: 6 }, leases: 6, routes: { length: 6 } });
  });
});

describe("show", () => {
  test("tells who holds what, how full the ranges are, and what is wrong", () => {
    using node = new Node("ab");
    const file = join(node.host.stateDir, "netconf.json");
    writeFileSync(file, JSON.stringify(node.config));
    node.host.ip("route", "delete", "10.20.1.3", "proto", "32");
    const { stdout, exitCode } = node.ipam("show", "--netconf", file);
    expect(exitCode).toBe(1);
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^ATTACHMENT +ADDRESS +POD +HOST END +STATE$/),
      expect.stringMatching(`^podnet/a/eth0 +10\\.20\\.1\\.2 +default/a +${node.end("a")} +ok$`),
      expect.stringMatching(
        `^podnet/b/eth0 +10\\.20\\.1\\.3 +default/b +${node.end("b")} +lease-without-route$`,
      ),
      "10.20.1.0/24  2 of 253 leased",
    ]);
    const { attachments, ranges } = JSON.parse(node.ipam("show", "--json", "--netconf", file).stdout);
    expect(attachments).toMatchObject([
      { addresses: ["10.20.1.2"], state: "ok" },
      { state: "lease-without-route" },
    ]);
    expect(ranges).toEqual([{ range: "10.20.1.0/24", leased: 2, leasable: "253" }]);
  });
});

describe("list", () => {
  test("tells every address and who holds it, in order, by the stores alone", () => {
    using node = new Node("ab", DUAL);
    node.host.ip("link", "delete", node.end("b"));
    expect(node.ipam("list")).toEqual({
      exitCode: 0,
      stderr: "",
      stdout: [
        "10.20.1.2   podnet/a/eth0  default/a",
        "10.20.1.3   podnet/b/eth0  default/b",
        "fd00:20::2  podnet/a/eth0  default/a",
        "fd00:20::3  podnet/b/eth0  default/b",
      ].join("\n"),
    });
    expect(JSON.parse(node.ipam("list", "--json").stdout).addresses[0]).toEqual({
      address: "10.20.1.2",
      attachment: "podnet/a/eth0",
      pod: "default/a",
    });
  });

  test("a store that cannot be read is told", () => {
    using node = new Node("a");
    garble(node.database, 0);
    expect(node.ipam("list")).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringMatching(/^slash32 ipam list: Cannot read the store in /),
    });
  });
});

describe("release", () => {
  test("of what the kernel still uses is refused; forced, it takes the attachment away as DEL does", () => {
    using node = new Node("ab");
    expect(node.ipam("release", "podnet/a/eth0")).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringMatching(
        /^slash32 ipam: Cannot release podnet\/a\/eth0: its host end cali\w+ is there;/,
      ),
    });
    expect(node.leases()).toEqual(LEASES);
    expect(node.ipam("release", "podnet/a/eth0", "--force")).toMatchObject({ exitCode: 0 });
    expect(remains(node.host)).toMatchObject({ links: [node.end("b")], attachments: ["b/eth0"], leases: 1 });
    silent(del(node.call("b")));
    expect(remains(node.host)).toEqual(NOTHING);
  });

  test("by address", () => {
    using node = new Node("ab");
    node.host.ip("link", "delete", node.end("a"));
    node.host.ip("route", "add", "10.20.1.2", "dev", "uplink0");
    expect(node.ipam("release", "10.20.1.2")).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining("the host has 10.20.1.2 in use"),
    });
    node.host.ip("route", "delete", "10.20.1.2");
    expect(node.ipam("release", "10.20.1.2")).toEqual({
      exitCode: 0,
      stderr: "",
      stdout: "released podnet/a/eth0",
    });
    expect(node.leases()).toEqual(["b/eth0 0a140103"]);
    expect(node.ipam("release", "10.20.1.2")).toMatchObject({ exitCode: 1 });
  });

  test("tells programs what it did", () => {
    using node = new Node("a");
    const { stdout } = node.ipam("release", "podnet/a/eth0", "--force", "--json");
    const commands = [`ip link delete ${node.end("a")}`];
    expect(JSON.parse(stdout)).toEqual({ commands, released: "podnet/a/eth0" });
  });

  test.each([
    ["what nobody knows", "podnet/zzz/eth0", 1, /Cannot release podnet\/zzz\/eth0: nobody knows it/],
    ["half a name", "podnet/a", 2, /expected an address, or NETWORK\/CONTAINER\/INTERFACE/],
  ])("%s is refused", (_, name, exitCode, words) => {
    using node = new Node("a");
    expect(node.ipam("release", name)).toMatchObject({ exitCode, stderr: expect.stringMatching(words) });
    expect(node.leases()).toEqual(["a/eth0 0a140102"]);
  });
});

describe("what was mistyped is not done halfway", () => {
  test.each([
    ["release podnet/a/eth0 --force --dry-run", 2, /ipam release takes no --dry-run/],
    ["repair podnet", 2, /ipam repair takes no "podnet"/],
    ["check --force", 2, /ipam check takes no --force/],
    [
      "check --network pdonet",
      1,
      /network pdonet: it has no store in \S+ and no host end here \(there are podnet\)/,
    ],
    ["show --state-dir /no/such", 1, /--state-dir \/no\/such: there is no such directory/],
  ])("ipam %s", (line, exitCode, words) => {
    using node = new Node("a");
    node.host.ip("route", "delete", "10.20.1.2", "proto", "32");
    const before = node.state();
    const asked = slash32(node.host, ["ipam", "--state-dir", node.host.stateDir, ...line.split(" ")]);
    expect(asked).toMatchObject({ exitCode, stdout: "", stderr: expect.stringMatching(words) });
    expect(node.state()).toEqual(before);
  });
});

describe("verbs on a database that is lost or damaged", () => {
  const damages: readonly [string, (node: Node) => void, boolean][] = [
    ["lost", (node) => rmSync(node.database), false],
    [
      "lost with its directory",
      (node) => rmSync(join(node.host.stateDir, "podnet"), { recursive: true }),
      false,
    ],
    ["emptied", (node) => truncateSync(node.database, 0), false],
    ["cut short", (node) => truncateSync(node.database, 6000), true],
    ["overwritten with garbage", (node) => garble(node.database, 0), true],
    ["garbled in a page", (node) => garble(node.database, 4096), true],
  ];

  test.each(damages)(
    "%s: ADD begins it anew with what the kernel knows, and gives nothing twice",
    (_, damage, isKept) => {
      using node = new Node("ab", DUAL);
      damage(node);
      expect(node.attach("c")).toBe("10.20.1.4/32");
      expect(node.leases()).toEqual([
        "a/eth0 0a140102",
        "a/eth0 fd000020000000000000000000000002",
        "b/eth0 0a140103",
        "b/eth0 fd000020000000000000000000000003",
        "c/eth0 0a140104",
        "c/eth0 fd000020000000000000000000000004",
      ]);
      expect(node.sql("SELECT pod FROM attachment ORDER BY container_id")).toEqual([
        "default/a",
        "default/b",
        "default/c",
      ]);
      expect(node.findings()).toEqual([]);
      const aside = readdirSync(join(node.host.stateDir, "podnet")).filter((name) =>
        /^leases\.db\.corrupt-\w+$/.test(name),
      );
      expect(aside).toHaveLength(isKept ? 1 : 0);
      for (const name of ["a", "b", "c"]) silent(del(node.call(name)));
      expect(remains(node.host)).toEqual(NOTHING);
    },
  );

  test.each(damages)("%s: DEL takes the one away and keeps the other", (_, damage) => {
    using node = new Node("ab");
    damage(node);
    silent(del(node.call("a")));
    expect(node.leases()).toEqual(["b/eth0 0a140103"]);
    expect(remains(node.host)).toMatchObject({ links: [node.end("b")], routes: ["10.20.1.3"] });
    expect(node.findings()).toEqual([]);
  });

  test.each(damages.filter(([, , isKept]) => isKept))(
    "%s: CHECK reports it and names the remedy, STATUS says that an ADD would be served, and neither changes anything",
    (_, damage) => {
      using node = new Node("ab");
      const answer = succeeded(add({ ...node.call("a"), netns: node.pods.a as TestNetns }));
      damage(node);
      const before = node.state();
      const config = { ...node.config, prevResult: answer };
      const { msg } = refused(
        check({ ...node.call("a"), netns: node.pods.a as TestNetns, netconf: config }),
        103,
      );
      expect(msg).toContain("slash32 ipam repair");
      silent(status(node.call("a")));
      expect(difference(before, node.state())).toEqual({ gone: [], came: [] });
    },
  );

  test("an address whose route is gone as well is in the store again once repair has seen the sandbox", () => {
    using node = new Node("a");
    node.host.ip("route", "delete", "10.20.1.2", "proto", "32");
    garble(node.database, 0);
    expect(node.ipam("repair")).toMatchObject({ exitCode: 0, stderr: "" });
    expect(node.leases()).toEqual(["a/eth0 0a140102"]);
    expect(node.attach("b")).toBe("10.20.1.3/32");
  });
});

/** Overwrites the database from there on, at its length. */
function garble(path: string, from: number): void {
  const fd = openSync(path, "r+");
  writeSync(fd, Buffer.alloc(24_000, "garbage, and nothing but garbage. "), 0, 24_000, from);
  closeSync(fd);
}

function renamed(pod: TestNetns): void {
  pod.ipBatch("link set eth0 down", "link set eth0 name net9", "link set net9 up");
}
