// CNI specification, section 3 and 5: slash32 as a member of a chain, and results that come back.

import { describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, netconf } from "../helpers/plugin.ts";
import { assertValid, CNI_VERSIONS } from "../helpers/schema.ts";

/** What a plugin before us in the chain may have made. */
const EARLIER = {
  interfaces: [
    { name: "br0", mac: "02:00:00:00:00:01" },
    { name: "net1", mac: "02:00:00:00:00:02", sandbox: "/run/netns/elsewhere" },
  ],
  ips: [{ address: "10.99.0.7/16", gateway: "10.99.0.1", interface: 1 }, { address: "10.99.0.8/16" }],
  routes: [{ dst: "10.99.0.0/16", gw: "10.99.0.1" }],
  dns: { nameservers: ["10.99.0.53"] },
};

function earlier(cniVersion: string): object {
  const ips = EARLIER.ips.map((ip) => (cniVersion.startsWith("0.") ? { version: "4", ...ip } : ip));
  return { cniVersion, ...EARLIER, ips };
}

describe("ADD as a later member of a chain", () => {
  test.each(CNI_VERSIONS.slice(2))(
    "keeps what stands in prevResult, and adds its own after it, in %s",
    (cniVersion) => {
      using host = new TestHost();
      using sandbox = new TestNetns();
      const prevResult = earlier(cniVersion);
      const result = succeeded(
        add({ host, netns: sandbox, netconf: netconf(host, { cniVersion, prevResult }) }),
      );
      assertValid(`result-${cniVersion}`, result);
      expect(result.interfaces?.slice(0, 2)).toEqual(EARLIER.interfaces);
      expect(result.interfaces?.slice(2)).toMatchObject([
        { mac: "ee:ee:ee:ee:ee:ee" },
        { name: "eth0", sandbox: sandbox.path },
      ]);
      expect(result.ips?.slice(0, 2)).toMatchObject(EARLIER.ips);
      expect(result.ips?.slice(2)).toMatchObject([{ address: "10.20.1.2/32", interface: 3 }]);
      expect(result.routes).toEqual([...EARLIER.routes, { dst: "0.0.0.0/0", gw: "169.254.1.1" }]);
      expect(result.dns).toEqual(EARLIER.dns);
    },
  );

  test("its own dns wins over an earlier plugin's", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const keys = { prevResult: earlier("1.1.0"), dns: { nameservers: ["10.96.0.10"] } };
    const { dns } = succeeded(add({ host, netns: sandbox, netconf: netconf(host, keys) }));
    expect(dns).toEqual({ nameservers: ["10.96.0.10"] });
  });

  test("keys of 1.1.0 in interfaces and routes are kept", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const own = {
      interfaces: [
        { name: "vf0", mac: "02:00:00:00:00:03", mtu: 9000, pciID: "0000:00:1f.6", socketPath: "/run/x" },
      ],
      routes: [{ dst: "10.99.0.0/16", mtu: 1300, advmss: 1260, priority: 3, table: 0, scope: 0 }],
    };
    const prevResult = { cniVersion: "1.1.0", ips: [], ...own };
    const result = succeeded(add({ host, netns: sandbox, netconf: netconf(host, { prevResult }) }));
    assertValid("result-1.1.0", result);
    expect(result.interfaces?.[0]).toEqual(own.interfaces[0]);
    expect(result.routes?.[0]).toEqual(own.routes[0]);
  });

  test("CHECK finds its own interface in such a result by name and sandbox", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { host, netns: sandbox };
    const prevResult = succeeded(add({ ...call, netconf: netconf(host, { prevResult: earlier("1.1.0") }) }));
    silent(check({ ...call, netconf: netconf(host, { prevResult }) }));
    silent(del({ ...call, netconf: netconf(host, { prevResult }) }));
    expect(remains(host)).toEqual(NOTHING);
  });

  test.each([
    ["null", null],
    ["an empty object", {}],
    ["no lists", { cniVersion: "1.1.0", interfaces: null, ips: null, routes: null, dns: null }],
  ])("%s as prevResult is none", (_, prevResult) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const result = succeeded(add({ host, netns: sandbox, netconf: netconf(host, { prevResult }) }));
    assertValid("result-1.1.0", result);
    expect(result).toMatchObject({ interfaces: { length: 2 }, ips: [{ interface: 1 }] });
  });
});

const GARBAGE = [
  ["text", "x"],
  ["a number", 1],
  ["a list", []],
  ["of no known version", { cniVersion: "9.9.9", ips: [] }],
  ["with a version that is no text", { cniVersion: 1 }],
  ["with interfaces that are no list", { cniVersion: "1.1.0", interfaces: {} }],
  ["with an interface that is null", { cniVersion: "1.1.0", interfaces: [null] }],
  ["with an address that is none", { cniVersion: "1.1.0", ips: [{ address: "10.20.1.300/32" }] }],
  ["with ips that are text", { cniVersion: "1.1.0", ips: ["10.20.1.2/32"] }],
  ["with a route that is none", { cniVersion: "1.1.0", routes: [{ dst: "default" }] }],
] as const;

describe.each(GARBAGE)("a prevResult that is %s", (_, prevResult) => {
  test("is refused by ADD and CHECK with code 7, and changes nothing", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    refused(add({ host, netns: sandbox, netconf: netconf(host, { prevResult }) }), 7);
    refused(check({ host, netns: sandbox, netconf: netconf(host, { prevResult }) }), 7);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("is of no account to DEL", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    succeeded(add({ host, netns: sandbox, netconf: netconf(host) }));
    silent(del({ host, netns: sandbox, netconf: netconf(host, { prevResult }) }));
    expect(remains(host)).toEqual(NOTHING);
  });
});

test("DEL goes by its own record, not by what prevResult claims", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  using other = new TestNetns();
  const call = { host, netconf: netconf(host) };
  const prevResult = succeeded(add({ ...call, netns: other, containerId: "other" }));
  succeeded(add({ ...call, netns: sandbox }));
  silent(del({ ...call, netns: sandbox, netconf: netconf(host, { prevResult }) }));
  expect(remains(host)).toMatchObject({
    links: [prevResult.interfaces?.[0]?.name],
    attachments: ["other/eth0"],
  });
  expect(other.ping("198.51.100.1")).toMatchObject({ received: 1 });
});
