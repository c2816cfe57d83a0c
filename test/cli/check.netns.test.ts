// slash32 check: CHECK without a runtime. What it says of each fault is in test/faults; here is whom it can be asked about.
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attachmentNumber } from "../../src/datapath/endpoint.ts";
import { LockFile } from "../../src/lock.ts";
import { slash32 } from "../helpers/command.ts";
import { TestNode } from "../helpers/doctor.ts";
import { TestNetns } from "../helpers/lab.ts";
import { silent, succeeded } from "../helpers/outcome.ts";
import { difference, picture, settle } from "../helpers/picture.ts";
import { add, netconf, pluginAsync } from "../helpers/plugin.ts";

function check(node: TestNode, ...args: string[]) {
  const places = ["--cni-conf-dir", node.confDir, "--state-dir", node.host.stateDir];
  return slash32(node.host, ["check", ...places, ...args]);
}

/** The host ends that were looked at, with what came of it. */
function states(node: TestNode, ...args: string[]): string[] {
  const { attachments } = JSON.parse(check(node, "--json", ...args).stdout) as {
    attachments: { attachment?: string; hostEnd: string; state: string }[];
  };
  return attachments.map(({ attachment, hostEnd, state }) => `${attachment ?? hostEnd} ${state}`);
}

const WEB = "podnet/container-0/eth0 fine";
const DB = "podnet/container-1/eth0 fine";

describe("an attachment is found", () => {
  let node: TestNode;
  beforeAll(() => {
    node = new TestNode();
  });
  afterAll(() => node[Symbol.dispose]());

  test.each([
    "default/web-0",
    "container-0",
    "10.20.1.2",
    "fd00:20::2",
    "FD00:20:0::2",
    "podnet/container-0/eth0",
  ])("by %s", (name) => {
    expect(check(node, name)).toMatchObject({ exitCode: 0, stderr: "" });
    expect(states(node, name)).toEqual([WEB]);
  });

  test("by its host end", () => {
    expect(states(node, node.hostEnd)).toEqual([WEB]);
  });

  test("once, however often it is named; several in the order in which they are", () => {
    expect(states(node, "default/web-1", "10.20.1.2", "container-0")).toEqual([DB, WEB]);
  });

  test("with --all every one is", () => {
    expect(states(node, "--all")).toEqual([WEB, DB]);
    expect(check(node, "--all").stdout).toMatch(/\n\n2 of 2 as ADD left them$/);
  });

  test.each([
    [[], /check takes an attachment, or --all/],
    [["--all", "default/web-0"], /check takes an attachment, or --all/],
    [["contain"], /"contain" is 2 attachments: container-0, container-1/],
    [
      ["con"],
      /"con" is no address, no pod and no container of this host \(this host has default\/web-0, default/,
    ],
    [["10.20.1.9"], /is no address, no pod/],
    [["--nonsense"], /nonsense/],
  ])("%j is not understood", (args, words) => {
    const { exitCode, stdout, stderr } = check(node, ...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
    expect(stderr).toMatch(words);
  });
});

test("a pod with two attachments is looked at in both", () => {
  using node = new TestNode({ pods: 1 });
  const [pod] = node.pods;
  const args = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0";
  const second = netconf(node.host, { name: "other", ipam: { ranges: [[{ subnet: "10.30.0.0/24" }]] } });
  const call = { host: node.host, netns: pod as TestNetns, containerId: "container-0", ifName: "net1", args };
  succeeded(add({ ...call, netconf: second }));
  for (const name of ["default/web-0", "container-0", "container"]) {
    expect(states(node, name)).toEqual([WEB, "other/container-0/net1 fine"]);
  }
  expect(states(node, "10.30.0.2")).toEqual(["other/container-0/net1 fine"]);
});

test("without pods there is nothing to look at", () => {
  using node = new TestNode({ pods: 0 });
  expect(check(node, "--all")).toEqual({ stdout: "no attachments", stderr: "", exitCode: 0 });
});

test("addresses of another IPAM plugin count as others do", () => {
  using node = new TestNode({ pods: 0 });
  using pod = new TestNetns("pod");
  const ipam = { type: "host-local", subnet: "10.9.0.0/24", dataDir: "/run/lab-check-host-local" };
  const config = netconf(node.host, { cniVersion: "1.0.0", name: "foreign", ipam });
  const outcome = add({
    host: node.host,
    netns: pod,
    containerId: "c1",
    netconf: config,
    path: "/usr/lib/cni",
  });
  const [address = ""] = succeeded(outcome).ips?.[0]?.address?.split("/") ?? [];
  expect(states(node, address)).toEqual(["foreign/c1/eth0 fine"]);
  node.host.ip("route", "delete", address);
  expect(check(node, address)).toMatchObject({ exitCode: 1 });
  expect(check(node, address, "--repair")).toMatchObject({ exitCode: 0 });
});

test("an attachment that a verb is at work on is left to it", () => {
  using node = new TestNode();
  node.host.ip("route", "delete", "10.20.1.2");
  const attachment = { network: "podnet", containerId: "container-0", ifName: "eth0" };
  using locks = new LockFile(join(node.host.stateDir, "podnet", "lock"));
  const lock = locks.hold(1n + (attachmentNumber(attachment) % (1n << 62n)));
  expect(states(node, "--all", "--repair")).toEqual(["podnet/container-0/eth0 busy", DB]);
  lock[Symbol.dispose]();
  expect(states(node, "--all")).toEqual(["podnet/container-0/eth0 differs", DB]);
});

test("among adds and deletes nothing is found, and nothing broken", async () => {
  using node = new TestNode({ pods: 1 });
  const config = netconf(node.host);
  using pods = new DisposableStack();
  let running = true;
  const churn = Array.from({ length: 4 }, async (_, at) => {
    const call = {
      host: node.host,
      netns: pods.use(new TestNetns("pod")),
      containerId: `c${at}`,
      netconf: config,
    };
    for (let round = 0; round < 4; round++) {
      succeeded(await pluginAsync("ADD", call));
      silent(await pluginAsync("DEL", call));
    }
  });
  const all = Promise.all(churn).finally(() => {
    running = false;
  });
  const places = ["--cni-conf-dir", node.confDir, "--state-dir", node.host.stateDir];
  const args = [
    `--net=${node.host.path}`,
    node.executable,
    "check",
    "--all",
    "--repair",
    "--json",
    ...places,
  ];
  const found: unknown[] = [];
  while (running) {
    const { stdout } = await execa("nsenter", args, { reject: false });
    const { attachments } = JSON.parse(stdout) as { attachments: { state: string; mended: unknown[] }[] };
    found.push(
      ...attachments.filter(({ state, mended }) => !["fine", "busy"].includes(state) || mended.length > 0),
    );
  }
  await all;
  expect(found).toEqual([]);
  expect(states(node, "--all")).toEqual([WEB]);
});

test("a pod that the store does not know is told, and the command makes it known", () => {
  using node = new TestNode({ pods: 1 });
  node.type(
    `sqlite3 ${node.host.stateDir}/podnet/leases.db 'UPDATE address SET held_by = NULL, freed = 1; DELETE FROM attachment'`,
  );
  const { attachments } = JSON.parse(check(node, "--json", "default/web-0").stdout);
  expect(attachments).toMatchObject([
    { state: "differs", differences: [{ subject: "lease", is: "missing" }] },
  ]);
  node.type(attachments[0].differences[0].restore);
  expect(states(node, "default/web-0")).toEqual([WEB]);
});

test("a store that cannot be read is told, and is no clean bill", () => {
  using node = new TestNode({ pods: 1 });
  node.type(`printf '%4096s' garbage > ${node.host.stateDir}/podnet/leases.db`);
  const { exitCode, stderr } = check(node, "--all");
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/Cannot read the store/),
  });
});

describe("--repair", () => {
  test("applies what differs and nothing else: what others added stays, and so does the rest", () => {
    using node = new TestNode();
    const [pod] = node.pods as [TestNetns];
    settle(node.host);
    pod.ipBatch("route add 10.99.0.0/16 via 169.254.1.1", "address add 10.88.0.1/32 dev eth0");
    node.host.ipBatch("route add 10.77.0.0/16 via 192.0.2.254", `link set ${node.hostEnd} alias other`);
    const before = [...picture(node.host), ...picture(pod)];
    pod.ip("route", "delete", "default");
    node.host.ip("link", "set", node.hostEnd, "mtu", "1400");
    const { stdout, exitCode } = check(node, "default/web-0", "--repair");
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").slice(1)).toEqual([
      `  ✓ host end ${node.hostEnd} was MTU 1400, is MTU 1500 now`,
      `    ip link set ${node.hostEnd} mtu 1500`,
      "  ✓ route default in the sandbox was missing, is via 169.254.1.1 dev eth0 now",
      `    nsenter --net=${pod.path} ip route add default via 169.254.1.1 dev eth0`,
      "",
      "1 of 1 as ADD left it, 1 mended",
    ]);
    expect(difference(before, [...picture(node.host), ...picture(pod)])).toEqual({ gone: [], came: [] });
  });

  test("changes nothing where nothing differs", () => {
    using node = new TestNode();
    settle(node.host);
    const before = [node.host, ...node.pods].flatMap(picture);
    expect(check(node, "--all", "--repair").stdout).not.toContain("mended");
    expect(difference(before, [node.host, ...node.pods].flatMap(picture))).toEqual({ gone: [], came: [] });
  });

  test("mends a MAC and then the neighbours that the mend costs", () => {
    using node = new TestNode({ pods: 1 });
    const { hostEnd } = node;
    const [pod] = node.pods as [TestNetns];
    const [{ address: mac }] = pod.ip("link", "show", "dev", "eth0") as [{ address: string }];
    node.host.ipBatch(
      `link set ${hostEnd} address 02:00:00:00:00:01`,
      `neigh replace 10.20.1.2 lladdr ${mac} dev ${hostEnd} nud permanent`,
      `neigh replace fd00:20::2 lladdr ${mac} dev ${hostEnd} nud permanent`,
    );
    expect(check(node, "default/web-0", "--repair")).toMatchObject({ exitCode: 0 });
    expect(states(node, "--all")).toEqual([WEB]);
  });

  test("a gateway that the configuration forbids to pin is not pinned", () => {
    using node = new TestNode({ pods: 1, netconf: { gatewayNeighbour: "proxy-arp" } });
    node.host.ip("route", "delete", "default");
    const { stdout, exitCode } = check(node, "default/web-0", "--repair");
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/not mended: Cannot answer for the gateway 169\.254\.1\.1: the host has no route/);
    expect(node.pods[0]?.ip("neigh", "show", "nud", "permanent")).toEqual([]);
  });
});
