// CNI specification, section 2, "STATUS": whether an ADD could be served now, cheaply and without a trace.

import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, del, netconf, status } from "../helpers/plugin.ts";

const ONE = { ipam: { ranges: [[{ subnet: "10.20.1.0/30" }]] } };

/** Every file below a directory with its size and time of change. */
function listing(directory: string): string[] {
  return readdirSync(directory, { recursive: true }).map((name) => {
    const { size, mtimeMs } = statSync(join(directory, String(name)));
    return `${name} ${size} ${mtimeMs}`;
  });
}

describe("ready", () => {
  test("before the first ADD, after it, and after DEL", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    silent(status(call));
    succeeded(add(call));
    silent(status(call));
    silent(del(call));
    silent(status(call));
  });

  test("without ranges where the runtime is to tell them with each ADD, by a capability", () => {
    using host = new TestHost();
    const document = netconf(host, { ipam: {}, capabilities: { ipRanges: true } });
    silent(status({ host, netconf: document }));
    for (const capabilities of [null, {}, { ipRanges: false }, { ips: true }, "x"])
      refused(status({ host, netconf: { ...document, capabilities } }), 7);
  });

  test("with forwarding off as long as there is no pod: the first ADD switches it on", () => {
    using host = new TestHost();
    expect(host.sysctl("net.ipv4.ip_forward")).toBe("0");
    silent(status({ host, netconf: netconf(host) }));
  });

  test.runIf(hasIpv6)("with IPv6 forwarding off while only IPv4 pods are there", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
    host.setSysctl("net.ipv6.conf.all.forwarding", 0);
    silent(status({ host, netconf: netconf(host) }));
  });

  test("with a store that is no database: ADD makes it anew", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    mkdirSync(join(host.stateDir, "podnet"));
    writeFileSync(
      join(host.stateDir, "podnet", "leases.db"),
      "this is no database, whatever its name says\n".repeat(99),
    );
    const call = { host, netns: sandbox, netconf: netconf(host) };
    const files = () => listing(host.stateDir).filter((line) => !line.includes("/lock "));
    silent(status(call));
    const before = files();
    silent(status(call));
    expect(files()).toEqual(before);
    succeeded(add(call));
  });

  test("with a state directory that ADD has yet to make", () => {
    using host = new TestHost();
    const stateDir = join(host.stateDir, "not", "yet");
    silent(status({ host, netconf: netconf(host, { stateDir }) }));
    expect(readdirSync(host.stateDir)).toEqual([]);
  });
});

describe("code 50, not ready", () => {
  test("when every address is in use, and ready again after a DEL", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host, ONE) };
    succeeded(add(call));
    const { msg } = refused(status(call), 50);
    expect(msg).toContain("10.20.1.0/30");
    silent(del(call));
    silent(status(call));
  });

  test.runIf(hasIpv6)("when one set of two has no address left", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const keys = {
      ipam: {
        ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/127", rangeStart: "fd00:20::1" }]],
      },
    };
    refused(add({ host, netns: sandbox, netconf: netconf(host, keys) }), 7);
    const narrow = {
      ipam: { ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/126", rangeEnd: "fd00:20::2" }]] },
    };
    succeeded(add({ host, netns: sandbox, netconf: netconf(host, narrow) }));
    expect(refused(status({ host, netconf: netconf(host, narrow) }), 50).msg).toContain("fd00:20::");
  });

  test("when the store cannot be written", () => {
    using host = new TestHost();
    const through = [
      "unshare",
      "--mount",
      "sh",
      "-ec",
      'mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; exec "$1"',
      host.stateDir,
    ];
    const { msg } = refused(status({ host, netconf: netconf(host), through }), 50);
    expect(msg).toContain(host.stateDir);
  });

  test("when the store's file system is full", () => {
    using host = new TestHost();
    const script =
      'mount -t tmpfs -o size=64k tmpfs "$0"; cat /dev/zero >"$0/ballast" 2>/dev/null || :; exec "$1"';
    const through = ["unshare", "--mount", "sh", "-ec", script, host.stateDir];
    expect(refused(status({ host, netconf: netconf(host), through }), 50).msg).toMatch(/space/);
  });

  test("when the node's pod CIDR is not known yet; an ADD is told to try again later, code 11", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host, { ipam: { subnet: "usePodCidr" } }) };
    refused(status(call), 50);
    refused(add(call), 11);
    writeFileSync(join(host.stateDir, "node.json"), '{"podCIDRs":["10.20.7.0/24"]}');
    silent(status(call));
    expect(succeeded(add(call)).ips?.[0]?.address).toBe("10.20.7.2/32");
  });
});

const FORWARDING: readonly [string, string, string][] = [
  ["IPv4", "10.20.1.0/24", "net.ipv4.ip_forward"],
  ["IPv6", "fd00:20::/64", "net.ipv6.conf.all.forwarding"],
];

test.each(FORWARDING.filter(([family]) => usable([family]).length > 0))(
  "code 51 when %s pods are there and forwarding was switched off: they suffer, too",
  (_, subnet, setting) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host, { ipam: { subnet } }) };
    succeeded(add(call));
    host.setSysctl(setting, 0);
    expect(refused(status(call), 51).msg).toContain(setting);
    host.setSysctl(setting, 1);
    silent(status(call));
  },
);

test("forwarding that is off cuts nobody off whose host end is not up yet: an ADD is at work, and will switch it on", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const call = { host, netns: sandbox, netconf: netconf(host) };
  const [end] = succeeded(add(call)).interfaces ?? [];
  host.setSysctl("net.ipv4.ip_forward", 0);
  refused(status(call), 51);
  host.ip("link", "set", end?.name ?? "", "down");
  silent(status(call));
});

test("a configuration that no ADD can use stays code 7", () => {
  using host = new TestHost();
  refused(status({ host, netconf: netconf(host, { mtu: "x" }) }), 7);
  refused(status({ host, netconf: netconf(host, { ipam: { subnet: "10.20.1.1/24" } }) }), 7);
  refused(status({ host, netconf: netconf(host, { ipam: {} }) }), 7);
});

describe("what only ADD would notice is told before", () => {
  const ranges = [[{ subnet: "10.20.1.0/24" }]];
  const dual = [...ranges, [{ subnet: "fd00:20::/64" }]];

  test.each([
    { what: "an MTU that no interface has", keys: { mtu: 50 }, says: "mtu is 50" },
    { what: "an MTU that is too small for IPv6", keys: { mtu: 1000, ipam: { ranges: dual } }, says: "1280" },
    { what: "a route with host bits", keys: { routes: [{ dst: "10.96.1.0/12" }] }, says: "routes[0].dst" },
    {
      what: "a route beside the ranges with host bits",
      keys: { ipam: { ranges, routes: [{ dst: "10.96.1.0/12" }] } },
      says: "ipam.routes[0].dst",
    },
  ])("$what", ({ keys, says }) => {
    using host = new TestHost();
    expect(refused(status({ host, netconf: netconf(host, keys) }), 7).msg).toContain(says);
  });

  test("a node.json that is wrong, where the MTU is to be in it; not where the configuration has one", () => {
    using host = new TestHost();
    writeFileSync(join(host.stateDir, "node.json"), "{");
    expect(refused(status({ host, netconf: netconf(host) }), 7).msg).toContain("node.json");
    silent(status({ host, netconf: netconf(host, { mtu: 1400 }) }));
  });
});

describe("it leaves no trace", () => {
  test("not a file, before the first ADD", () => {
    using host = new TestHost();
    silent(status({ host, netconf: netconf(host) }));
    expect(readdirSync(host.stateDir)).toEqual([]);
  });

  test("not a byte, with pods there", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, netconf: netconf(host) };
    succeeded(add(call));
    const before = listing(host.stateDir);
    silent(status(call));
    expect(listing(host.stateDir)).toEqual(before);
    expect(remains(host).leases).toBe(1);
  });
});

test("an ADD does not depend on it: it may come without STATUS, and after one that failed", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const call = { host, netns: sandbox, netconf: netconf(host) };
  succeeded(add(call));
  host.setSysctl("net.ipv4.ip_forward", 0);
  refused(status(call), 51);
  using other = new TestNetns();
  succeeded(add({ ...call, netns: other, containerId: "other" }));
  silent(status(call));
});
