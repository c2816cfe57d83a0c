// CNI specification, section 1, and the Go library's decoder: what may stand on standard input.

import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, gc, netconf, plugin, status, version } from "../helpers/plugin.ts";

const host = new TestHost();
const sandbox = new TestNetns();
const call = { host, netns: sandbox, netconf: netconf(host) };
const VERBS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;

afterAll(() => {
  sandbox[Symbol.dispose]();
  host[Symbol.dispose]();
});

// Whatever was asked, refused or taken back: no test leaves anything on the host.
afterEach(() => expect(remains(host)).toEqual(NOTHING));

/** The configuration as text, with more text behind its opening brace. */
function prefixed(keys: string, overrides = {}): string {
  return `{${keys},${JSON.stringify(netconf(host, overrides)).slice(1)}`;
}

describe("what is no JSON object", () => {
  const text = JSON.stringify(netconf(host));

  test.each([
    ["nothing", ""],
    ["white space", " \n\t "],
    ["no JSON", "not JSON"],
    ["a list", "[]"],
    ["a list with a configuration", `[${text}]`],
    ["a string", '"x"'],
    ["a number", "1"],
    ["true", "true"],
    ["a truncated object", text.slice(0, -1)],
    ["an object and garbage", `${text}x`],
    ["two objects", `${text}${text}`],
    ["a byte order mark before it", `\ufeff${text}`],
    ["a comma too many", `${text.slice(0, -1)},}`],
    ["a comment", `/* */ ${text}`],
    ["single quotes", "{'name': 'podnet'}"],
    ["a NUL", `${text}\0`],
    ["half of 100 000 nested lists", "[".repeat(100_000)],
    ["100 000 nested lists", "[".repeat(100_000) + "]".repeat(100_000)],
  ])("%s is refused with code 6 by every verb", (_, stdin) => {
    for (const verb of VERBS) refused(plugin(verb, { ...call, stdin }), 6);
  });

  test("bytes that are not UTF-8 are no obstacle in keys that are not ours", () => {
    const [before, after] = prefixed('"comment":"?"').split("?") as [string, string];
    const stdin = Buffer.concat([Buffer.from(before), Buffer.of(0xff, 0xfe, 0xc0), Buffer.from(after)]);
    succeeded(add({ ...call, stdin }));
    silent(del({ ...call, stdin }));
  });

  test("null is an empty configuration, whose name is missing: code 7", () => {
    for (const verb of VERBS) refused(plugin(verb, { ...call, stdin: "null" }), 7);
  });

  test("white space around the object is fine", () => {
    const stdin = `\r\n\t ${text} \n\n`;
    succeeded(add({ ...call, stdin }));
    silent(del({ ...call, stdin }));
  });

  test("standard input that cannot be read is code 5", () => {
    const through = ["sh", "-c", 'exec "$0" </'];
    for (const verb of VERBS) refused(plugin(verb, { ...call, through }), 5);
  });

  test("closed standard input is as an empty one", () => {
    const through = ["sh", "-c", 'exec "$0" <&-'];
    for (const verb of VERBS) refused(plugin(verb, { ...call, through }), 6);
  });
});

describe("name", () => {
  const withName = (name: unknown) => ({ ...call, netconf: netconf(host, { name }) });

  test.each([
    undefined,
    "",
    "../x",
    "a/b",
    "..",
    ".a",
    "-a",
    "_a",
    "a b",
    "ä",
    "a\n",
    "a\0b",
    "x".repeat(201),
  ])("%j is refused with code 7 by every verb", (name) => {
    for (const verb of VERBS) expect(refused(plugin(verb, withName(name)), 7).msg).toContain("name");
  });

  test.each([1, true, [], {}].map((name) => [name]))("%j, which is no text, is code 6", (name) => {
    for (const verb of VERBS) refused(plugin(verb, withName(name)), 6);
  });

  test.each(["a", "9", "a..b", "A_b-c.d", "x".repeat(200)])("%j names a network", (name) => {
    succeeded(add(withName(name)));
    silent(del(withName(name)));
    expect(remains(host, name)).toEqual(NOTHING);
  });

  test("a bad one is reported before a bad cniVersion, and that before a bad key", () => {
    refused(add({ ...call, netconf: netconf(host, { name: "a/b", cniVersion: "9.9.9", mtu: "x" }) }), 7);
    refused(add({ ...call, netconf: netconf(host, { cniVersion: "9.9.9", mtu: "x" }) }), 1);
    refused(add({ ...call, netconf: netconf(host, { mtu: "x" }) }), 7);
  });
});

describe("cniVersion", () => {
  const asked = (cniVersion: unknown) => ({ ...call, netconf: netconf(host, { cniVersion }) });

  test.each(["9.9.9", "1.0", "v1.0.0", "1.1.0-rc1", "1.1", "1.2.0", "0.5.0", " 1.0.0", "1.0.0\n", "1"])(
    "%j is refused with code 1, with both sides in the details",
    (cniVersion) => {
      for (const verb of VERBS) {
        const { details } = refused(plugin(verb, asked(cniVersion)), 1);
        expect(details).toContain(`config is ${JSON.stringify(cniVersion)}, plugin supports ["0.1.0"`);
      }
    },
  );

  test.each([1, null, true, []].map((value) => [value]))("%j, which is no text, is code 6", (cniVersion) => {
    for (const verb of VERBS) refused(plugin(verb, asked(cniVersion)), 6);
  });

  test.each([undefined, ""])("%j is 0.1.0", (cniVersion) => {
    expect(succeeded(add(asked(cniVersion)))).toMatchObject({ ip4: { ip: expect.any(String) } });
    silent(del(asked(cniVersion)));
    refused(check(asked(cniVersion)), 1);
  });
});

describe("what is tolerated", () => {
  test("5 MB of keys that are not ours", () => {
    const stdin = prefixed(`"comment":"${"x".repeat(5_000_000)}"`);
    succeeded(add({ ...call, stdin }));
    silent(del({ ...call, stdin }));
    const many = Array.from({ length: 100_000 }, (_, at) => `"k${at}":{"v":[${at}]}`).join();
    succeeded(add({ ...call, stdin: prefixed(many) }));
    silent(del({ ...call, stdin: prefixed(many) }));
  });

  test("100 000 nested lists under a key that is not ours", () => {
    const stdin = prefixed(`"deep":${"[".repeat(100_000)}${"]".repeat(100_000)}`);
    succeeded(add({ ...call, stdin }));
    silent(del({ ...call, stdin }));
  });

  test("input that comes in pieces, after a while", () => {
    const through = ["sh", "-c", '{ head -c 20; sleep 0.2; cat; } | "$0"'];
    succeeded(add({ ...call, through }));
    silent(del({ ...call, through }));
  });

  test("of a key that comes twice, the last one counts", () => {
    const first = prefixed('"name":"../x","mtu":"wrong"', { mtu: 1400 });
    expect(succeeded(add({ ...call, stdin: first })).interfaces?.[0]?.mtu).toBe(1400);
    silent(del({ ...call, stdin: first }));
    const last = `${JSON.stringify(netconf(host)).slice(0, -1)},"name":"../x"}`;
    refused(add({ ...call, stdin: last }), 7);
  });

  test("keys that mean something to JavaScript are keys like others", () => {
    const keys =
      '"__proto__":{"mtu":1300,"name":"evil"},"constructor":{"prototype":{"mtu":1300}},"toString":1';
    const stdin = prefixed(`${keys},"args":{"__proto__":{"cni":{"ips":["10.20.1.99"]}}}`);
    const result = succeeded(add({ ...call, stdin }));
    expect(result.interfaces?.[0]?.mtu).toBe(1500);
    expect(result.ips?.[0]?.address).not.toBe("10.20.1.99/32");
    silent(del({ ...call, stdin }));
    refused(add({ ...call, stdin: '{"__proto__":{"name":"podnet","cniVersion":"1.1.0"}}' }), 7);
  });

  test("keys of runtimes and of other plugins, in every verb", () => {
    const others = {
      args: { labels: [{ key: "app", value: "x" }], cni: { other: 1 } },
      capabilities: { portMappings: true, bandwidth: true, ips: true },
      runtimeConfig: {
        portMappings: [{ HostPort: 80, ContainerPort: 8080, Protocol: "tcp", HostIP: "" }],
        bandwidth: { IngressRate: 1, IngressBurst: 1, EgressRate: 0, EgressBurst: 0 },
        cgroupPath: "/kubepods",
        aliases: { podnet: ["x"] },
        "io.kubernetes.cri.pod-annotations": { a: "b" },
      },
      "cni.dev/future": { a: [1] },
      disableCheck: true,
      disableGC: false,
      cniVersions: ["1.0.0", "1.1.0"],
      plugins: [],
    };
    const known = { ...call, netconf: netconf(host, others) };
    const prevResult = succeeded(add(known));
    silent(check({ ...known, netconf: { ...known.netconf, prevResult } }));
    silent(status(known));
    silent(del(known));
    silent(gc({ host, netconf: { ...known.netconf, "cni.dev/valid-attachments": [] } }));
  });

  test("a `type` that is not the executable's name: delegating plugins rename", () => {
    const renamed = { ...call, netconf: netconf(host, { type: "other-name" }) };
    succeeded(add(renamed));
    silent(del(renamed));
  });
});

describe("a key of ours that cannot be honoured", () => {
  test.each([
    ["mtu", "1500"],
    ["mtu", 1.5],
    ["mtu", -1],
    ["mtu", 67],
    ["mtu", 100_000],
    ["hostInterfacePrefix", "toolong"],
    ["hostInterfacePrefix", "a/"],
    ["stateDir", "relative"],
    ["allowIpForwarding", "yes"],
    ["gatewayNeighbour", "always"],
    ["routes", [{}]],
    ["routes", [{ dst: "10.0.0.0/33" }]],
    ["dns", { nameservers: "10.96.0.10" }],
    ["ipam", "slash32"],
    ["ipam", {}],
    ["ipam", undefined],
    ["ipam", { ranges: [] }],
    ["ipam", { ranges: [[]] }],
    ["ipam", { ranges: [[{}]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/33" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/31" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.1/24" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/24", rangeStart: "10.20.2.1" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/24", rangeStart: "10.20.1.9", rangeEnd: "10.20.1.8" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "10.20.0.0/16" }]] }],
    ["ipam", { ranges: [[{ subnet: "10.20.1.0/24" }, { subnet: "fd00::/64" }]] }],
    ["runtimeConfig", { mac: "01:00:5e:00:00:01" }],
    ["runtimeConfig", { mac: "02:11:22:33:44" }],
    ["runtimeConfig", { ips: ["10.20.1.300"] }],
    ["args", { cni: { ips: "10.20.1.7" } }],
  ])("%s as %j is refused by ADD with code 7, by its name", (key, value) => {
    const { msg } = refused(add({ ...call, netconf: netconf(host, { [key]: value }) }), 7);
    expect(msg).toMatch(key === "runtimeConfig" ? /MAC|runtimeConfig\.ips/ : key);
  });

  test("all mistakes are told at once", () => {
    const wrong = netconf(host, { mtu: "x", ipam: { ranges: [[{ subnet: 1 }]] }, allowIpForwarding: 1 });
    const { details } = refused(add({ ...call, netconf: wrong }), 7);
    for (const key of ["mtu", "ipam.ranges[0][0].subnet", "allowIpForwarding"])
      expect(details).toContain(key);
  });
});

test("a name never leads out of the state directory", () => {
  const outside = mkdtempSync(join(host.stateDir, "outside-"));
  const wrong = netconf(host, { stateDir: join(outside, "inner"), name: "../x" });
  for (const verb of VERBS) refused(plugin(verb, { ...call, netconf: wrong }), 7);
  expect(readdirSync(outside)).toEqual([]);
});

test("VERSION reads whatever comes", () => {
  for (const stdin of ["", "not JSON", "null", "[]", "{}", '{"cniVersion":1}', "[".repeat(100_000)]) {
    expect(succeeded(version({ host, stdin })).cniVersion).toBe("1.1.0");
  }
});
