// CNI specification, section 2, "DEL": it succeeds whatever is left, frees the address, and touches nothing else.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { Occupant } from "../helpers/occupant.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, del, gc, netconf } from "../helpers/plugin.ts";

/** A /30 has one address to give: that ADD succeeds after DEL proves that DEL freed it. */
const ONE = { ipam: { ranges: [[{ subnet: "10.20.1.0/30" }]] } };

function names(netns: TestNetns): string[] {
  return (netns.ip("link") as { ifname: string }[]).map(({ ifname }) => ifname);
}

describe("DEL is success, and frees the address, when", () => {
  /** Each answers what the runtime gives as CNI_NETNS afterwards. */
  const cases: readonly [string, (host: TestHost, sandbox: TestNetns) => string | undefined][] = [
    ["the sandbox is as ADD left it", (_, { path }) => path],
    ["CNI_NETNS is empty", () => ""],
    ["CNI_NETNS is not set", () => undefined],
    ["the sandbox is gone", (_, sandbox) => replaced(sandbox, () => {})],
    ["the sandbox is gone and another has its path", (_, sandbox) => replaced(sandbox, made)],
    [
      "its path is a plain file now",
      (_, sandbox) => replaced(sandbox, ({ path }) => writeFileSync(path, "")),
    ],
    ["its path is a directory now", (_, sandbox) => replaced(sandbox, ({ path }) => mkdirSync(path))],
    ["the interface was deleted in the sandbox", changed("link delete eth0")],
    ["the interface was renamed there", changed("link set eth0 down", "link set eth0 name renamed0")],
    ["the address was deleted in the sandbox", changed("address flush dev eth0")],
    ["the host end is gone", changedOnHost((hostEnd) => `link delete ${hostEnd}`)],
    ["the host end is down", changedOnHost((hostEnd) => `link set ${hostEnd} down`)],
    ["the host's route is gone", changedOnHost(() => "route flush proto 32")],
  ];

  test.each(cases)("%s", (_, breakIt) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netconf: netconf(host, ONE) };
    succeeded(add({ ...call, netns: sandbox }));
    const netns = breakIt(host, sandbox);
    silent(del({ ...call, env: { CNI_NETNS: netns } }));
    expect(remains(host)).toEqual(NOTHING);
    using next = new TestNetns();
    succeeded(add({ ...call, netns: next, containerId: "next" }));
  });
});

function replaced(sandbox: TestNetns, make: (sandbox: TestNetns) => void): string {
  sandbox[Symbol.dispose]();
  make(sandbox);
  return sandbox.path;
}

function made({ name }: TestNetns): void {
  execaSync("ip", ["netns", "add", name]);
}

function changed(...commands: string[]) {
  return (_: TestHost, sandbox: TestNetns): string => {
    sandbox.ipBatch(...commands);
    return sandbox.path;
  };
}

function changedOnHost(command: (hostEnd: string) => string) {
  return (host: TestHost, { path }: TestNetns): string => {
    host.ipBatch(command(remains(host).links[0] as string));
    return path;
  };
}

describe("a DEL that has nothing to do is success", () => {
  test("for what was never added, whatever CNI_NETNS is", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    for (const netns of ["", "/nowhere", sandbox.path]) silent(del({ host, netns, netconf: netconf(host) }));
  });

  test("three times in a row", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    for (const _ of [1, 2, 3]) silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("after an ADD that failed", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, ifName: "lo", netconf: netconf(host) };
    refused(add(call), 102);
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("for an interface in the sandbox that another made, which stays", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    sandbox.ipBatch("link add eth0 type veth peer name eth0peer");
    silent(del({ host, netns: sandbox, netconf: netconf(host) }));
    expect(names(sandbox)).toContain("eth0");
  });

  test("after an ADD that found the interface's name taken, and leaves the other's interface", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    sandbox.ipBatch("link add eth0 type veth peer name eth0peer");
    const call = { host, netns: sandbox, netconf: netconf(host) };
    refused(add(call), 102);
    silent(del(call));
    expect(names(sandbox)).toContain("eth0");
    expect(remains(host)).toEqual(NOTHING);
  });
});

describe("DEL with another configuration than ADD's frees what ADD made", () => {
  test.each([
    ["another subnet", { ipam: { ranges: [[{ subnet: "10.30.0.0/16" }]] } }],
    ["no ranges", { ipam: {} }],
    ["no ipam", { ipam: undefined }],
    ["an older cniVersion", { cniVersion: "0.3.1" }],
    ["no cniVersion", { cniVersion: undefined }],
    ["another prefix for host ends", { hostInterfacePrefix: "veth" }],
    ["another MTU", { mtu: 1280 }],
    ["no `type`", { type: undefined }],
    ["a mistake in mtu", { mtu: "x" }],
    ["a mistake in routes", { routes: [{}] }],
    ["a mistake in the ranges", { ipam: { ranges: [[{ subnet: "10.20.1.0/33" }]] } }],
    ["a mistake in the shape of the ranges", { ipam: { ranges: "10.20.1.0/24" } }],
    ["a mistake in dns", { dns: { nameservers: 1 } }],
    ["a mistake in runtimeConfig", { runtimeConfig: { mac: 1, ips: "x", ipRanges: [[{}]] } }],
    ["runtimeConfig and args that are null", { runtimeConfig: null, args: null }],
    ["an address that cannot be given", { args: { cni: { ips: ["192.0.2.7"] } } }],
    ["garbage as prevResult", { prevResult: [{ ips: 1 }] }],
    ["a pod CIDR that the node does not know", { ipam: { subnet: "usePodCidr" } }],
  ])("%s", (_, keys) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
    silent(del({ host, netns: sandbox, netconf: netconf(host, keys) }));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("bad CNI_ARGS and another CNI_PATH", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    silent(del({ ...call, args: "IP=nonsense;MAC=nonsense;;", path: "/nowhere" }));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("a node.json that is broken", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    writeFileSync(join(host.stateDir, "node.json"), "{");
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });
});

describe("the store is no condition", () => {
  test("DEL removes the host end although the state directory is gone", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    rmSync(host.stateDir, { recursive: true });
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
    expect(names(sandbox)).toEqual(["lo"]);
  });

  test("and although only the database is gone, and the sandbox with it", () => {
    using host = new TestHost();
    const call = { host, netconf: netconf(host) };
    using sandbox = new TestNetns();
    succeeded(add({ ...call, netns: sandbox }));
    for (const file of readdirSync(join(host.stateDir, "podnet")))
      rmSync(join(host.stateDir, "podnet", file));
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("DEL in another state directory removes the host end, for its name is the attachment's", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    renameSync(join(host.stateDir, "podnet"), join(host.stateDir, "moved"));
    silent(del(call));
    expect(remains(host).links).toEqual([]);
  });
});

describe("DEL touches nothing but its own attachment", () => {
  test("a recycled path: another container's eth0 in the sandbox of that path stays, and works", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox.path, netconf: netconf(host) };
    succeeded(add({ ...call, containerId: "old" }));
    sandbox[Symbol.dispose]();
    execaSync("ip", ["netns", "add", sandbox.name]);
    succeeded(add({ ...call, containerId: "new" }));
    silent(del({ ...call, containerId: "old" }));
    expect(remains(host)).toMatchObject({ links: { length: 1 }, attachments: ["new/eth0"], leases: 1 });
    expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
  });

  test("a wrong path: another container's live sandbox stays as it is", () => {
    using host = new TestHost();
    using own = new TestNetns();
    using others = new TestNetns();
    succeeded(add({ host, netns: own, containerId: "own", netconf: netconf(host) }));
    succeeded(add({ host, netns: others, containerId: "other", netconf: netconf(host) }));
    silent(del({ host, netns: others, containerId: "own", netconf: netconf(host) }));
    expect(names(own)).toEqual(["lo"]);
    expect(others.ping("198.51.100.1")).toMatchObject({ received: 1 });
  });

  test("the same container in another network, and another interface of it, stay", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const second = netconf(host, { name: "second", ipam: { ranges: [[{ subnet: "10.20.2.0/24" }]] } });
    succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
    succeeded(add({ host, netns: sandbox, ifName: "net1", netconf: netconf(host) }));
    succeeded(add({ host, netns: sandbox, ifName: "net2", netconf: second }));
    silent(del({ host, netns: sandbox, netconf: netconf(host) }));
    expect(names(sandbox)).toEqual(["lo", "net1", "net2"]);
    expect(remains(host).attachments).toEqual(["container-1/net1"]);
    expect(remains(host, "second").attachments).toEqual(["container-1/net2"]);
  });

  test("what another plugin put into the sandbox and onto the host stays", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
    sandbox.ipBatch("link add other0 type veth peer name other1");
    host.ipBatch("route add 10.20.1.200/32 dev uplink0", "route add 10.20.1.201/32 dev uplink0 proto 32");
    silent(del({ host, netns: sandbox, netconf: netconf(host) }));
    expect(names(sandbox)).toEqual(expect.arrayContaining(["other0", "other1"]));
    expect(remains(host).routes).toEqual(["10.20.1.201"]);
    expect(host.ip("route", "show", "10.20.1.200")).toHaveLength(1);
  });
});

test("a sandbox that a process holds open after its name is gone loses its interface", async () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  using occupant = await Occupant.of(sandbox);
  succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
  sandbox[Symbol.dispose]();
  silent(del({ host, netns: sandbox.path, netconf: netconf(host) }));
  expect(remains(host)).toEqual(NOTHING);
  const { stdout } = execaSync("nsenter", [`--net=/proc/${occupant.pid}/ns/net`, "ip", "-json", "link"]);
  expect((JSON.parse(stdout) as { ifname: string }[]).map(({ ifname }) => ifname)).toEqual(["lo"]);
});

test("when DEL returns, the address can be given again and the interface's name is free", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const call = { host, netns: sandbox, netconf: netconf(host, ONE) };
  for (const round of [1, 2, 3, 4, 5]) {
    const result = succeeded(add({ ...call, containerId: `round-${round}` }));
    expect(result.ips?.[0]?.address).toBe("10.20.1.2/32");
    silent(del({ ...call, containerId: `round-${round}` }));
  }
});

test("GC of an empty network after DEL has nothing to do", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const call = { host, netns: sandbox, netconf: netconf(host, { "cni.dev/valid-attachments": [] }) };
  succeeded(add(call));
  silent(del(call));
  silent(gc(call));
});
