// CNI specification, section 5, "Success": what the result says is what the kernel has, judged by iproute2.

import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { remains, silent, succeeded } from "../helpers/outcome.ts";
import { type Answer, add, check, del, netconf, status } from "../helpers/plugin.ts";

const DUAL = { ipam: { ranges: usable(["10.20.1.0/24", "fd00:20::/64"]).map((subnet) => [{ subnet }]) } };

type Link = { ifname: string; address: string; mtu: number; flags: string[]; ifalias?: string };
type Address = { family: string; local: string; prefixlen: number; scope: string; tentative?: boolean };
type Route = { dst: string; gateway?: string; dev: string; scope?: string; metric?: number };

function link(netns: TestNetns, name: string): Link {
  return (netns.ip("link", "show", "dev", name) as [Link])[0];
}

function addresses(netns: TestNetns, name = "eth0"): Address[] {
  return (netns.ip("address", "show", "dev", name) as [{ addr_info: Address[] }])[0].addr_info;
}

function routes(netns: TestNetns, family: "-4" | "-6"): Route[] {
  return (netns.ip(family, "route", "show") ?? []) as Route[];
}

/** ADD's result and the sandbox it is about. */
function attached(host: TestHost, sandbox: TestNetns, keys = {}, ifName = "eth0"): Answer {
  return succeeded(add({ host, netns: sandbox, ifName, netconf: netconf(host, keys) }));
}

describe("interfaces", () => {
  test("lists both ends: the host's without a sandbox, then the sandbox's with CNI_NETNS", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const { interfaces = [] } = attached(host, sandbox);
    expect(interfaces).toHaveLength(2);
    const [hostEnd, sandboxEnd] = interfaces;
    expect(hostEnd).not.toHaveProperty("sandbox");
    expect(sandboxEnd).toMatchObject({ name: "eth0", sandbox: sandbox.path });
  });

  test("name, MAC and MTU are the kernel's", () => {
    using host = new TestHost({ mtu: 1450 });
    using sandbox = new TestNetns();
    const { interfaces = [] } = attached(host, sandbox);
    for (const [netns, end] of [
      [host, interfaces[0]],
      [sandbox, interfaces[1]],
    ] as const) {
      const { address, mtu, flags } = link(netns, end?.name as string);
      expect({ mac: address, mtu }).toEqual({ mac: end?.mac, mtu: end?.mtu });
      expect(flags).toEqual(expect.arrayContaining(["UP", "LOWER_UP"]));
    }
    expect(interfaces.map(({ mtu }) => mtu)).toEqual([1450, 1450]);
  });

  test("the host end is the sandbox end's peer, has Calico's MAC, a name of 15 bytes, and no address", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const [hostEnd] = attached(host, sandbox, DUAL).interfaces ?? [];
    const name = hostEnd?.name as string;
    expect(name).toMatch(/^cali[0-9a-f]{11}$/);
    expect(hostEnd?.mac).toBe("ee:ee:ee:ee:ee:ee");
    const [{ ifindex }] = host.ip("link", "show", "dev", name) as [{ ifindex: number }];
    const [{ link_index }] = sandbox.ip("link", "show", "dev", "eth0") as [{ link_index: number }];
    expect(link_index).toBe(ifindex);
    expect(addresses(host, name).filter(({ scope }) => scope === "global")).toEqual([]);
  });

  test("the sandbox has no interface but lo and the one that was asked for", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    attached(host, sandbox, {}, "net1");
    expect((sandbox.ip("link") as Link[]).map(({ ifname }) => ifname)).toEqual(["lo", "net1"]);
  });
});

describe("ips", () => {
  test("are the sandbox's own addresses, a /32 and a /128, at the index of its interface", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const { ips = [] } = attached(host, sandbox, DUAL);
    const own = addresses(sandbox).filter(({ scope }) => scope === "global");
    expect(ips.map(({ address }) => address)).toEqual(
      own.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    );
    expect(own.map(({ prefixlen }) => prefixlen)).toEqual(hasIpv6 ? [32, 128] : [32]);
    expect(ips.map(({ interface: index }) => index)).toEqual(own.map(() => 1));
  });

  test.runIf(hasIpv6)(
    "of IPv6 are usable when ADD returns: none is tentative, and a ping goes through at once",
    () => {
      using host = new TestHost();
      using sandbox = new TestNetns();
      attached(host, sandbox, DUAL);
      for (const { tentative } of addresses(sandbox).filter(({ scope }) => scope === "global")) {
        expect(tentative).toBeUndefined();
      }
      expect(sandbox.ping("2001:db8:ffff::1")).toMatchObject({ received: 1 });
      expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
    },
  );

  test.runIf(hasIpv6)("of IPv6 work where the runtime switched IPv6 off in the sandbox", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    for (const which of ["all", "default"]) sandbox.setSysctl(`net.ipv6.conf.${which}.disable_ipv6`, 1);
    attached(host, sandbox, DUAL);
    expect(sandbox.ping("2001:db8:ffff::1")).toMatchObject({ received: 1 });
  });
});

describe("routes", () => {
  test("are the sandbox's ways out, through the gateway; the route to the gateway is not among them", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    expect(attached(host, sandbox, DUAL).routes).toEqual([
      { dst: "0.0.0.0/0", gw: "169.254.1.1" },
      ...usable(["::/0"]).map((dst) => ({ dst, gw: "fe80::ecee:eeff:feee:eeee" })),
    ]);
    expect(routes(sandbox, "-4")).toEqual([
      expect.objectContaining({ dst: "default", gateway: "169.254.1.1", dev: "eth0" }),
      expect.objectContaining({ dst: "169.254.1.1", dev: "eth0", scope: "link" }),
    ]);
    const six = { dst: "default", gateway: "fe80::ecee:eeff:feee:eeee", dev: "eth0" };
    if (hasIpv6) expect(routes(sandbox, "-6")).toContainEqual(expect.objectContaining(six));
  });

  test("that the configuration lists replace the default routes, MTU and priority included", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const wanted = [{ dst: "198.51.100.0/24", mtu: 1400, priority: 7 }, { dst: "10.0.0.0/8" }];
    const { routes: told } = attached(host, sandbox, { routes: wanted });
    expect(told).toEqual(wanted.map((route) => ({ ...route, gw: "169.254.1.1" })));
    const seen = routes(sandbox, "-4");
    expect(seen).toContainEqual(
      expect.objectContaining({ dst: "198.51.100.0/24", metric: 7, metrics: [{ mtu: 1400 }] }),
    );
    expect(seen).toContainEqual(expect.objectContaining({ dst: "10.0.0.0/8", gateway: "169.254.1.1" }));
    expect(seen.map(({ dst }) => dst)).not.toContain("default");
    expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
  });

  test("none with an empty list", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    expect(attached(host, sandbox, { routes: [] }).routes).toEqual([]);
    expect(routes(sandbox, "-4").map(({ dst }) => dst)).toEqual(["169.254.1.1"]);
  });

  test("a default route that is there already stays, works on, and is not claimed", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    attached(host, sandbox);
    const second = attached(
      host,
      sandbox,
      { name: "second", ipam: { ranges: [[{ subnet: "10.20.2.0/24" }]] } },
      "net1",
    );
    expect(second.routes).toEqual([]);
    expect(routes(sandbox, "-4")[0]).toMatchObject({ dst: "default", dev: "eth0" });
    expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
    expect(host.ping(second.ips?.[0]?.address?.replace("/32", "") as string)).toMatchObject({ received: 1 });
  });
});

describe("attachments are told apart by network, container ID and interface name", () => {
  test("two interfaces of one network in one sandbox have an address each, and both answer", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const both = [attached(host, sandbox), attached(host, sandbox, {}, "net1")];
    const [first, second] = both.map(({ ips }) => ips?.[0]?.address?.replace("/32", "") as string);
    expect(first).not.toBe(second);
    for (const address of [first, second])
      expect(host.ping(address as string)).toMatchObject({ received: 1 });
    expect(new Set(both.map(({ interfaces }) => interfaces?.[0]?.name)).size).toBe(2);
  });

  test("DEL of one leaves the other as CHECK wants it", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    attached(host, sandbox);
    const prevResult = attached(host, sandbox, {}, "net1");
    silent(del({ host, netns: sandbox, netconf: netconf(host) }));
    silent(check({ host, netns: sandbox, ifName: "net1", netconf: netconf(host, { prevResult }) }));
    expect(remains(host)).toMatchObject({ attachments: ["container-1/net1"], leases: 1 });
  });
});

describe("dns", () => {
  const dns = { nameservers: ["10.96.0.10"], domain: "cluster.local", search: ["svc"], options: ["ndots:5"] };
  const capability = { dns: { servers: ["10.96.0.11"], searches: ["x"], options: ["ndots:2"] } };

  test("of the configuration is told as it is", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    expect(attached(host, sandbox, { dns }).dns).toEqual(dns);
  });

  test("of the capability is told where the configuration has none, and overridden where it has", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    expect(attached(host, sandbox, { runtimeConfig: capability }).dns).toEqual({
      nameservers: ["10.96.0.11"],
      search: ["x"],
      options: ["ndots:2"],
    });
    expect(attached(host, sandbox, { dns: { domain: "x" }, runtimeConfig: capability }, "net1").dns).toEqual({
      domain: "x",
    });
    expect(attached(host, sandbox, { dns: {}, runtimeConfig: capability }, "net2").dns).toMatchObject({
      nameservers: ["10.96.0.11"],
    });
  });

  test("of containerd has capitalised keys, and null for none", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const runtimeConfig = { dns: { Servers: ["10.96.0.12"], Searches: null, Options: ["ndots:3"] } };
    expect(attached(host, sandbox, { runtimeConfig }).dns).toEqual({
      nameservers: ["10.96.0.12"],
      options: ["ndots:3"],
    });
  });
});

describe("mac and mtu", () => {
  test.each([
    ["the capability", { runtimeConfig: { mac: "02:11:22:33:44:5A" } }, ""],
    ["the capability in capitals", { runtimeConfig: { Mac: "02:11:22:33:44:5a" } }, ""],
    ["CNI_ARGS", {}, "IgnoreUnknown=1;MAC=02:11:22:33:44:5A"],
    [
      "the capability, whatever CNI_ARGS says",
      { runtimeConfig: { mac: "02:11:22:33:44:5a" } },
      "MAC=02:00:00:00:00:01",
    ],
  ])("a MAC asked for by %s is the sandbox end's, told in lower case", (_, keys, args) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox, args, netconf: netconf(host, keys) };
    const result = succeeded(add(call));
    expect(result.interfaces?.[1]?.mac).toBe("02:11:22:33:44:5a");
    expect(link(sandbox, "eth0").address).toBe("02:11:22:33:44:5a");
    expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
    silent(check({ ...call, netconf: { ...call.netconf, prevResult: result } }));
  });

  test("the MTU is the configuration's, else node.json's, else that of the host's way out, else 1500", () => {
    using host = new TestHost({ mtu: 1480 });
    using sandbox = new TestNetns();
    const stateDir = mkdtempSync(join(host.stateDir, "node-"));
    const mtu = (keys: object, ifName: string) =>
      attached(host, sandbox, { stateDir, ...keys }, ifName).interfaces?.[1]?.mtu;
    expect(mtu({}, "a")).toBe(1480);
    writeFileSync(join(stateDir, "node.json"), '{"mtu":1430}');
    expect(mtu({}, "b")).toBe(1430);
    expect(mtu({ mtu: 0 }, "c")).toBe(1430);
    expect(mtu({ mtu: 1390 }, "d")).toBe(1390);

    using aside = new TestHost({ defaultRoute: false, mtu: 1480 });
    using other = new TestNetns();
    expect(attached(aside, other).interfaces?.map(({ mtu }) => mtu)).toEqual([1500, 1500]);
  });
});

test.runIf(hasIpv6)(
  "ADD switches forwarding on for the families it gives, and lo is up in the sandbox",
  () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    attached(host, sandbox);
    expect([host.sysctl("net.ipv4.ip_forward"), host.sysctl("net.ipv6.conf.all.forwarding")]).toEqual([
      "1",
      "0",
    ]);
    attached(host, sandbox, { name: "six", ipam: { ranges: [[{ subnet: "fd00:20::/64" }]] } }, "net1");
    expect(host.sysctl("net.ipv6.conf.all.forwarding")).toBe("1");
    expect(link(sandbox, "lo").flags).toContain("UP");
  },
);

test.runIf(hasIpv6)("a network of IPv6 alone leaves IPv4 as it is, and is ready", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const keys = { ipam: { ranges: [[{ subnet: "fd00:20::/64" }]] } };
  const result = attached(host, sandbox, keys);
  expect(result.routes).toEqual([{ dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" }]);
  expect(host.sysctl("net.ipv4.ip_forward")).toBe("0");
  silent(status({ host, netconf: netconf(host, keys) }));
  silent(check({ host, netns: sandbox, netconf: netconf(host, { ...keys, prevResult: result }) }));
  expect(sandbox.ping("2001:db8:ffff::1")).toMatchObject({ received: 1 });
});

test("a host without a default route and one without IPv6 have working pods as well", () => {
  for (const options of [{ defaultRoute: false }, { ipv6: false }]) {
    using host = new TestHost(options);
    using sandbox = new TestNetns();
    const result = attached(host, sandbox);
    silent(check({ host, netns: sandbox, netconf: netconf(host, { prevResult: result }) }));
    expect(sandbox.ping("192.0.2.1")).toMatchObject({ received: 1 });
    expect(host.ping(result.ips?.[0]?.address?.replace("/32", "") as string)).toMatchObject({ received: 1 });
  }
});
