// slash32 at any place of a list: after another plugin, before others, and with capabilities as runtimes write them.

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { answering, ask } from "../helpers/answering.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { LIST_PATH, ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";

/** A plugin that makes an interface of its own in the sandbox: `extra0`, with an address. */
const EXTRA = `#!/bin/sh
set -e
input=$(cat)
case $CNI_COMMAND in
  ADD)
    nsenter --net="$CNI_NETNS" sh -ec '
      ip link add extra0 type veth peer name extra1
      ip address add 10.99.0.7/16 dev extra0
      ip link set extra0 up
      ip link set extra1 up'
    printf '{"cniVersion":"1.0.0",
      "interfaces":[{"name":"hostly0"},{"name":"extra0","sandbox":"%s"}],
      "ips":[{"address":"10.99.0.7/16","gateway":"10.99.0.1","interface":1}],
      "routes":[{"dst":"10.99.0.0/16"}],"dns":{"nameservers":["10.99.0.53"]}}' "$CNI_NETNS" ;;
  DEL) [ -z "$CNI_NETNS" ] || ip -n "$(basename "$CNI_NETNS")" link delete extra0 ;;
esac
`;

function own(host: TestHost, keys = {}) {
  const { cniVersion: _, name: __, ...plugin } = netconf(host, keys);
  return plugin;
}

test("after another plugin, before portmap: what stood there is kept, and indices lead to the right interface", async () => {
  using host = new TestHost();
  using pod = new TestNetns();
  writeFileSync(join(host.stateDir, "extra"), EXTRA);
  chmodSync(join(host.stateDir, "extra"), 0o755);
  const plugins = [
    { type: "extra" },
    own(host),
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "tuning", mtu: 1400 },
  ];
  const list = { cniVersion: "1.0.0", name: "podnet", plugins };
  const runner = new ListRunner(host, list, [host.stateDir, ...LIST_PATH]);
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const web = { containerId: "web", netns: pod, capabilities: { portMappings } };

  const { interfaces, ips, dns } = runner.add(web);
  expect(interfaces).toMatchObject([
    { name: "hostly0" },
    { name: "extra0", sandbox: pod.path },
    { mac: "ee:ee:ee:ee:ee:ee" },
    { name: "eth0", sandbox: pod.path },
  ]);
  expect(ips).toEqual([
    { address: "10.99.0.7/16", gateway: "10.99.0.1", interface: 1 },
    { address: "10.20.1.2/32", interface: 3 },
  ]);
  expect(dns).toEqual({ nameservers: ["10.99.0.53"] });
  await using _ = await answering(pod, 80);
  expect(ask(host.router, "tcp", "192.0.2.1", 8080)).toBe("tcp 192.0.2.254");

  runner.del(web);
  expect(remains(host)).toEqual(NOTHING);
});

describe("capabilities, as they are written", () => {
  const plain = {
    ips: ["10.20.1.77/24"],
    mac: "02:11:22:33:44:55",
    ipRanges: [[{ subnet: "10.20.1.0/24", rangeStart: "10.20.1.70", rangeEnd: "10.20.1.79" }]],
    dns: { servers: ["10.96.0.10"], searches: ["x.local"], options: ["ndots:5"] },
  };
  // As containerd does: structs of Go without tags.
  const capitalised = {
    ips: ["10.20.1.77/24"],
    mac: "02:11:22:33:44:55",
    ipRanges: [[{ Subnet: "10.20.1.0/24", RangeStart: "10.20.1.70", RangeEnd: "10.20.1.79", Gateway: "" }]],
    dns: { Servers: ["10.96.0.10"], Searches: ["x.local"], Options: ["ndots:5"] },
  };
  const shouted = {
    ips: ["10.20.1.77/24"],
    mac: "02:11:22:33:44:55",
    ipRanges: [[{ SUBNET: "10.20.1.0/24", RANGESTART: "10.20.1.70", RANGEEND: "10.20.1.79" }]],
    dns: { SERVERS: ["10.96.0.10"], SEARCHES: ["x.local"], OPTIONS: ["ndots:5"] },
  };

  test.each([
    ["plain", plain],
    ["capitalised", capitalised],
    ["shouted", shouted],
  ])("%s: all are honoured", (_, capabilities) => {
    using host = new TestHost();
    using pod = new TestNetns();
    const declared = { ips: true, mac: true, ipRanges: true, dns: true };
    const plugins = [own(host, { capabilities: declared, ipam: { type: "slash32" } })];
    const runner = new ListRunner(host, { cniVersion: "1.1.0", name: "podnet", plugins });
    const attachment = { containerId: "a", netns: pod, capabilities };
    expect(runner.add(attachment)).toMatchObject({
      ips: [{ address: "10.20.1.77/32" }],
      interfaces: [{}, { mac: "02:11:22:33:44:55" }],
      dns: { nameservers: ["10.96.0.10"], search: ["x.local"], options: ["ndots:5"] },
    });
    expect(host.ping("10.20.1.77")).toMatchObject({ received: 1 });
    runner.check(attachment);
    runner.status();
    runner.gc([attachment]);
    runner.check(attachment);
    runner.gc([]);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("names of the capabilities themselves in other cases", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const declared = { Ips: true, MAC: true, IPRANGES: true };
    const plugins = [own(host, { capabilities: declared, ipam: { type: "slash32" } })];
    const runner = new ListRunner(host, { cniVersion: "1.1.0", name: "podnet", plugins });
    const capabilities = { Ips: plain.ips, MAC: plain.mac, IPRANGES: plain.ipRanges };
    expect(runner.add({ containerId: "a", netns: pod, capabilities })).toMatchObject({
      ips: [{ address: "10.20.1.77/32" }],
      interfaces: [{}, { mac: "02:11:22:33:44:55" }],
    });
  });
});

test("where a later plugin fails, DEL of the list takes the pod away", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const plugins = [own(host), { type: "tuning", sysctl: { "net.core.no_such_thing": "1" } }];
  const runner = new ListRunner(host, { cniVersion: "1.0.0", name: "podnet", plugins });
  const attachment = { containerId: "a", netns: pod };
  expect(() => runner.add(attachment)).toThrow(/tuning/);
  runner.del(attachment);
  expect(remains(host)).toEqual(NOTHING);
});
