// CNI specification, section 2, "GC": what no valid attachment owns goes, everything else stays.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { type Answer, add, gc, netconf, plugin, pluginAsync } from "../helpers/plugin.ts";

const KEYS = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const;

type Listed = { containerID: string; ifname: string };

/** Makes attachments given as "container/interface", each container with a sandbox of its own. */
class Pods implements Disposable {
  readonly host: TestHost;
  readonly sandboxes = new Map<string, TestNetns>();

  constructor(host: TestHost) {
    this.host = host;
  }

  add(attachment: string, keys = {}): Answer {
    const { containerID, ifname } = listed(attachment);
    const netns = this.sandboxes.get(containerID) ?? new TestNetns();
    this.sandboxes.set(containerID, netns);
    const { host } = this;
    return succeeded(
      add({ host, netns, containerId: containerID, ifName: ifname, netconf: netconf(host, keys) }),
    );
  }

  [Symbol.dispose](): void {
    for (const netns of this.sandboxes.values()) netns[Symbol.dispose]();
  }
}

function listed(attachment: string): Listed {
  const [containerID = "", ifname = ""] = attachment.split("/");
  return { containerID, ifname };
}

function collect(host: TestHost, valid: unknown, key: string = KEYS[0], keys = {}) {
  return gc({ host, netconf: netconf(host, { [key]: valid, ...keys }) });
}

describe.each(KEYS)("%s", (key) => {
  test("lists what stays: all else of the network goes, live sandboxes or not", () => {
    using host = new TestHost();
    using pods = new Pods(host);
    for (const pod of ["a/eth0", "b/eth0", "c/eth0"]) pods.add(pod);
    pods.sandboxes.get("c")?.[Symbol.dispose]();
    silent(collect(host, [listed("b/eth0")], key));
    expect(remains(host)).toMatchObject({
      links: { length: 1 },
      routes: ["10.20.1.3"],
      attachments: ["b/eth0"],
      leases: 1,
    });
    expect(pods.sandboxes.get("b")?.ping("198.51.100.1")).toMatchObject({ received: 1 });
    expect(pods.sandboxes.get("a")?.ip("link")).toHaveLength(1);
  });

  test.each([
    ["null, as CRI-O says for none", null],
    ["an empty list, as multus says", []],
  ])("as %s, makes everything go", (_, none) => {
    using host = new TestHost();
    using pods = new Pods(host);
    for (const pod of ["a/eth0", "b/eth0"]) pods.add(pod);
    silent(collect(host, none, key));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("matches pairs: another interface of a container that is listed goes", () => {
    using host = new TestHost();
    using pods = new Pods(host);
    for (const pod of ["a/eth0", "a/net1", "b/eth0"]) pods.add(pod);
    silent(collect(host, [listed("a/net1"), listed("b/net1")], key));
    expect(remains(host)).toMatchObject({ links: { length: 1 }, attachments: ["a/net1"], leases: 1 });
  });

  test("may list what is not there, and may list it twice", () => {
    using host = new TestHost();
    using pods = new Pods(host);
    pods.add("a/eth0");
    silent(
      collect(host, [listed("a/eth0"), listed("a/eth0"), listed("unknown/eth0"), listed("a/net9")], key),
    );
    expect(remains(host)).toMatchObject({ attachments: ["a/eth0"] });
  });

  test.each([
    ["x"],
    [{}],
    [1],
    [[{}]],
    [["a"]],
    [[null]],
    [[{ containerID: "a" }]],
    [[{ containerID: 1, ifname: "eth0" }]],
  ])("as %j is refused with code 7, and nothing goes", (wrong) => {
    using host = new TestHost();
    using pods = new Pods(host);
    pods.add("a/eth0");
    refused(collect(host, wrong, key), 7);
    expect(remains(host)).toMatchObject({ attachments: ["a/eth0"] });
  });
});

test("both keys at once, as libcni sends them", () => {
  using host = new TestHost();
  using pods = new Pods(host);
  for (const pod of ["a/eth0", "b/eth0"]) pods.add(pod);
  silent(collect(host, [listed("a/eth0")], KEYS[0], { [KEYS[1]]: [listed("a/eth0")] }));
  expect(remains(host).attachments).toEqual(["a/eth0"]);
});

test('without either key nothing goes: silence is not "none are valid"', () => {
  using host = new TestHost();
  using pods = new Pods(host);
  pods.add("a/eth0");
  silent(gc({ host, netconf: netconf(host) }));
  expect(remains(host)).toMatchObject({ links: { length: 1 }, attachments: ["a/eth0"] });
});

test("other networks, and interfaces and routes of others, stay", () => {
  using host = new TestHost();
  using pods = new Pods(host);
  const second = { name: "podnet2", ipam: { ranges: [[{ subnet: "10.20.2.0/24" }]] } };
  pods.add("a/eth0");
  pods.add("b/eth0", second);
  host.ipBatch(
    "link add other0 type veth peer name other1",
    "link set other0 alias 'slash32 podnet'",
    "route add 10.20.1.200/32 dev uplink0",
  );
  silent(collect(host, []));
  expect(remains(host)).toMatchObject({
    links: expect.arrayContaining(["other0", "other1"]),
    attachments: [],
  });
  expect(remains(host, "podnet2").attachments).toEqual(["b/eth0"]);
  expect(pods.sandboxes.get("b")?.ping("198.51.100.1")).toMatchObject({ received: 1 });
  expect(host.ip("route", "show", "10.20.1.200")).toHaveLength(1);
});

describe("after the database was lost", () => {
  test("stale host ends are known by their alias, and valid ones stay", () => {
    using host = new TestHost();
    using pods = new Pods(host);
    for (const pod of ["a/eth0", "b/eth0"]) pods.add(pod);
    pods.add("c/eth0", { name: "podnet2", ipam: { ranges: [[{ subnet: "10.20.2.0/24" }]] } });
    const directory = join(host.stateDir, "podnet");
    for (const file of readdirSync(directory)) rmSync(join(directory, file));
    silent(collect(host, [listed("b/eth0")]));
    expect(remains(host)).toMatchObject({ links: { length: 2 }, routes: ["10.20.1.3", "10.20.2.2"] });
    for (const pod of ["b", "c"]) {
      expect(pods.sandboxes.get(pod)?.ping("198.51.100.1")).toMatchObject({ received: 1 });
    }
  });

  test("and with the whole state directory", () => {
    using host = new TestHost();
    using pods = new Pods(host);
    pods.add("a/eth0");
    rmSync(host.stateDir, { recursive: true });
    silent(collect(host, []));
    expect(remains(host)).toEqual(NOTHING);
  });
});

test("attachments that an ADD has in hand meanwhile are left alone", async () => {
  using host = new TestHost();
  using pods = new Pods(host);
  const rounds = Array.from({ length: 16 }, (_, at) => `pod-${at}`);
  for (const pod of rounds) pods.sandboxes.set(pod, new TestNetns());
  const config = netconf(host, { [KEYS[0]]: rounds.map((pod) => listed(`${pod}/eth0`)) });
  const adds = rounds.map((containerId) => {
    return pluginAsync("ADD", {
      host,
      netns: pods.sandboxes.get(containerId) as TestNetns,
      containerId,
      netconf: netconf(host),
    });
  });
  const collections = rounds.map(() => pluginAsync("GC", { host, netconf: config }));
  for (const outcome of await Promise.all(collections)) silent(outcome);
  for (const outcome of await Promise.all(adds)) succeeded(outcome);
  expect(remains(host)).toMatchObject({ links: { length: rounds.length }, leases: rounds.length });
  for (const netns of pods.sandboxes.values())
    expect(netns.ping("198.51.100.1")).toMatchObject({ received: 1 });
});

test("an ADD that a GC overtakes, whose list does not know it, is not disturbed, and DEL leaves nothing", async () => {
  using host = new TestHost();
  using pods = new Pods(host);
  const names = Array.from({ length: 12 }, (_, at) => `pod-${at}`);
  for (const pod of names) pods.sandboxes.set(pod, new TestNetns());
  const calls = names.map((containerId) => ({
    host,
    netns: pods.sandboxes.get(containerId) as TestNetns,
    containerId,
    netconf: netconf(host),
  }));
  const empty = netconf(host, { [KEYS[0]]: [] });
  const all = await Promise.all(
    calls.flatMap((call) => [pluginAsync("ADD", call), pluginAsync("GC", { host, netconf: empty })]),
  );
  for (const outcome of all) expect(outcome, outcome.stdout).toMatchObject({ exitCode: 0, stderr: "" });
  for (const call of calls) silent(plugin("DEL", call));
  expect(remains(host)).toEqual(NOTHING);
});

test("a mistake in a key that GC does not need is no obstacle", () => {
  using host = new TestHost();
  using pods = new Pods(host);
  pods.add("a/eth0");
  silent(collect(host, [], KEYS[0], { mtu: "x", routes: 1, ipam: { ranges: [[{ subnet: "x" }]] } }));
  expect(remains(host)).toEqual(NOTHING);
});

test("GC of a network that never had a pod is success", () => {
  using host = new TestHost();
  silent(collect(host, []));
  silent(collect(host, [listed("a/eth0")]));
});
