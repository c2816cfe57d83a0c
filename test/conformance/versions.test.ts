// One executable speaks every version of the specification, each as that version has it.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, gc, netconf, status, version } from "../helpers/plugin.ts";
import { assertValid, CNI_VERSIONS, type CniVersion } from "../helpers/schema.ts";

const host = new TestHost();
const sandbox = new TestNetns();
const DUAL = { ipam: { ranges: usable(["10.20.1.0/24", "fd00:20::/64"]).map((subnet) => [{ subnet }]) } };
const RICH = { ...DUAL, dns: { nameservers: ["10.96.0.10"], domain: "cluster.local", search: ["svc"] } };

afterAll(() => {
  sandbox[Symbol.dispose]();
  host[Symbol.dispose]();
});

afterEach(() => expect(remains(host)).toEqual(NOTHING));

function before(version: CniVersion): CniVersion[] {
  return CNI_VERSIONS.slice(0, CNI_VERSIONS.indexOf(version));
}

describe.each(CNI_VERSIONS)("CNI %s", (cniVersion) => {
  const calls = [DUAL, RICH, {}].map((keys) => {
    return { host, netns: sandbox, netconf: netconf(host, { cniVersion, ...keys }) };
  });

  test("ADD answers in that version, DEL takes it back in silence", () => {
    for (const call of calls) {
      const result = succeeded(add(call));
      assertValid(`result-${cniVersion}`, result);
      expect(result.cniVersion).toBe(cniVersion);
      silent(del(call));
    }
  });

  test("errors are told in that version", () => {
    const wrong = { host, netns: sandbox, netconf: netconf(host, { cniVersion, mtu: "x" }) };
    expect(refused(add(wrong), 7).cniVersion).toBe(cniVersion);
    const nowhere = { host, netns: "/nowhere", netconf: netconf(host, { cniVersion }) };
    expect(refused(add(nowhere), 8).cniVersion).toBe(cniVersion);
  });

  test("DEL takes the result of any version as prevResult", () => {
    for (const call of calls) {
      const prevResult = succeeded(add(call));
      silent(del({ ...call, netconf: { ...call.netconf, prevResult } }));
      for (const other of CNI_VERSIONS) {
        const renamed = { ...prevResult, cniVersion: other };
        silent(del({ ...call, netconf: { ...call.netconf, prevResult: renamed } }));
      }
    }
  });

  test("VERSION answers in that version, and lists it", () => {
    const answer = succeeded(version({ host, netconf: { cniVersion } }));
    assertValid("version", answer);
    expect(answer.cniVersion).toBe(cniVersion);
    expect(answer.supportedVersions).toContain(cniVersion);
  });
});

test.each(CNI_VERSIONS.slice(CNI_VERSIONS.indexOf("0.4.0")))(
  "CHECK in %s confirms what ADD has just made",
  (cniVersion) => {
    for (const keys of [DUAL, RICH, {}]) {
      const call = { host, netns: sandbox, netconf: netconf(host, { cniVersion, ...keys }) };
      const prevResult = succeeded(add(call));
      silent(check({ ...call, netconf: { ...call.netconf, prevResult } }));
      silent(del(call));
    }
  },
);

test.each(before("0.4.0"))("CHECK in %s is code 1: that version has none", (cniVersion) => {
  const call = { host, netns: sandbox, netconf: netconf(host, { cniVersion }) };
  const prevResult = succeeded(add(call));
  refused(check({ ...call, netconf: { ...call.netconf, prevResult } }), 1);
  silent(del(call));
});

test.each(before("1.1.0"))("GC and STATUS in %s are code 1, and collect nothing", (cniVersion) => {
  const call = { host, netns: sandbox, netconf: netconf(host, { cniVersion }) };
  succeeded(add(call));
  refused(gc({ ...call, netconf: { ...call.netconf, "cni.dev/valid-attachments": [] } }), 1);
  refused(status(call), 1);
  expect(remains(host).leases).toBe(1);
  silent(del(call));
});

describe("the shape of a version", () => {
  function resultIn(cniVersion: CniVersion, keys = {}): ReturnType<typeof succeeded> {
    const call = { host, netns: sandbox, netconf: netconf(host, { cniVersion, ...keys }) };
    const result = succeeded(add(call));
    silent(del(call));
    return result;
  }

  test.runIf(hasIpv6)("0.1.0 and 0.2.0 have one address of each family with the routes of its family", () => {
    for (const cniVersion of ["0.1.0", "0.2.0"] as const) {
      const { ip4, ip6, interfaces, ips } = resultIn(cniVersion, DUAL);
      expect(ip4).toEqual({
        ip: expect.stringMatching(/^10\.20\.1\.\d+\/32$/),
        routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }],
      });
      expect(ip6).toEqual({
        ip: expect.stringMatching(/^fd00:20::\w+\/128$/),
        routes: [{ dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" }],
      });
      expect([interfaces, ips]).toEqual([undefined, undefined]);
    }
  });

  test("0.1.0 and 0.2.0 with IPv4 alone have no ip6", () => {
    for (const cniVersion of ["0.1.0", "0.2.0"] as const)
      expect(resultIn(cniVersion)).not.toHaveProperty("ip6");
  });

  test.runIf(hasIpv6)("the family is told from 0.3.0 to 0.4.0 only", () => {
    for (const cniVersion of CNI_VERSIONS.slice(2)) {
      const told = resultIn(cniVersion, DUAL).ips?.map(({ version }) => version);
      expect(told).toEqual(cniVersion.startsWith("0.") ? ["4", "6"] : [undefined, undefined]);
    }
  });

  test("MTU and the priority of routes are told from 1.1.0 on only", () => {
    const routes = [{ dst: "0.0.0.0/0", mtu: 1400, priority: 7 }];
    for (const cniVersion of CNI_VERSIONS.slice(2)) {
      const result = resultIn(cniVersion, { routes });
      const newest = cniVersion === "1.1.0";
      expect(result.interfaces?.map(({ mtu }) => mtu)).toEqual(
        newest ? [1500, 1500] : [undefined, undefined],
      );
      expect(result.routes).toEqual([
        { dst: "0.0.0.0/0", gw: "169.254.1.1", ...(newest ? { mtu: 1400, priority: 7 } : {}) },
      ]);
    }
  });
});

describe("VERSION", () => {
  test.each([
    ["an empty environment", { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined }],
    ["libcni's dummies", {}],
    ["junk", { CNI_CONTAINERID: "../x", CNI_NETNS: "/nowhere", CNI_IFNAME: "a/b:c%d", CNI_ARGS: "=;" }],
    ["the own namespace", { CNI_NETNS: "/proc/self/ns/net" }],
  ])("answers with %s", (_, env) => {
    const answer = succeeded(version({ host, netconf: { cniVersion: "1.0.0" }, env }));
    assertValid("version", answer);
    expect(answer).toEqual({ cniVersion: "1.0.0", supportedVersions: CNI_VERSIONS });
  });

  test.each([
    ["empty", 'exec "$0" </dev/null'],
    ["closed", 'exec "$0" <&-'],
    ["a directory", 'exec "$0" </'],
    ["junk", 'echo junk | "$0"'],
  ])("answers with standard input %s", (_, script) => {
    const answer = succeeded(version({ host, through: ["sh", "-c", script] }));
    assertValid("version", answer);
    expect(answer).toEqual({ cniVersion: "1.1.0", supportedVersions: CNI_VERSIONS });
  });

  test("lists the versions in ascending order, the last of which is the newest", () => {
    const { supportedVersions = [] } = succeeded(version({ host }));
    expect(supportedVersions).toEqual(supportedVersions.toSorted());
    expect(new Set(supportedVersions).size).toBe(supportedVersions.length);
  });

  test("leaves no files behind", () => {
    const stateDir = join(host.stateDir, "untouched");
    succeeded(version({ host, netconf: netconf(host, { stateDir }) }));
    expect(existsSync(stateDir)).toBe(false);
  });
});
