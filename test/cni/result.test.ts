import { expect, test } from "vitest";
import { formatPrefix } from "../../src/address.ts";
import {
  mergedDns,
  narrowed,
  type Result,
  ResultError,
  readResult,
  renderResult,
  resultIp,
} from "../../src/cni/result.ts";
import { assertValid, CNI_VERSIONS } from "../helpers/schema.ts";
import { thrown } from "../helpers/thrown.ts";

/** What ADD makes: the host end first, so the sandbox end has index 1. */
const FOUR: Result = {
  interfaces: [
    { name: "cali0123456789a", mac: "ee:ee:ee:ee:ee:ee", mtu: 1450 },
    { name: "eth0", mac: "02:11:22:33:44:55", mtu: 1450, sandbox: "/run/netns/pod" },
  ],
  ips: [{ address: "10.20.1.2/32", interface: 1 }],
  routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1", mtu: 1400, priority: 100 }],
  dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
};
const DUAL: Result = {
  ...FOUR,
  ips: [...FOUR.ips, { address: "fd00:20:1::2/128", interface: 1 }],
  routes: [...FOUR.routes, { dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" }],
};
const SIX: Result = { ...DUAL, ips: DUAL.ips.slice(1), routes: DUAL.routes.slice(1), dns: {} };
const RESULTS = { IPv4: FOUR, IPv6: SIX, "dual-stack": DUAL } as const;
const KINDS = ["IPv4", "IPv6", "dual-stack"] as const;

/** As the runtime gets it: absent keys are absent. */
function rendered(result: Result, version: (typeof CNI_VERSIONS)[number]) {
  return JSON.parse(JSON.stringify(renderResult(result, version)));
}

test.each(CNI_VERSIONS.flatMap((version) => KINDS.map((kind) => [kind, version] as const)))(
  "an %s result of version %s has the shape of the specification",
  (kind, version) => {
    assertValid(`result-${version}`, rendered(RESULTS[kind], version));
  },
);

test.each(CNI_VERSIONS)("version %s is named in its result", (version) => {
  expect(rendered(DUAL, version).cniVersion).toBe(version);
});

test.each(["0.1.0", "0.2.0"] as const)(
  "%s has one address of each family, with its family's routes",
  (version) => {
    const two = { ...DUAL, ips: [...DUAL.ips, { address: "10.20.1.3/32" }] };
    expect(rendered(two, version)).toEqual({
      cniVersion: version,
      ip4: { ip: "10.20.1.2/32", routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }] },
      ip6: { ip: "fd00:20:1::2/128", routes: [{ dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" }] },
      dns: DUAL.dns,
    });
  },
);

test.each(["0.3.0", "0.3.1", "0.4.0"] as const)("%s tells an address's family as text", (version) => {
  expect(rendered(DUAL, version).ips).toEqual([
    { version: "4", address: "10.20.1.2/32", interface: 1 },
    { version: "6", address: "fd00:20:1::2/128", interface: 1 },
  ]);
});

test.each(["1.0.0", "1.1.0"] as const)("%s does not tell an address's family", (version) => {
  expect(rendered(DUAL, version).ips[0]).toEqual({ address: "10.20.1.2/32", interface: 1 });
});

test("MTU and priority came with 1.1.0, and no earlier version has them", () => {
  const keys = (version: (typeof CNI_VERSIONS)[number]) =>
    JSON.stringify(rendered(FOUR, version)).match(/mtu|priority/g);
  expect(keys("1.1.0")).toEqual(["mtu", "mtu", "mtu", "priority"]);
  for (const version of CNI_VERSIONS.slice(0, -1)) expect(keys(version)).toBeNull();
});

test("what 1.1.0 alone has, a chain's earlier member may have told: it is kept there, zeroes included", () => {
  const told: Result = {
    interfaces: [
      { name: "net1", sandbox: "/run/netns/pod", socketPath: "/run/vhost.sock", pciID: "0000:00:1f.6" },
    ],
    ips: [],
    routes: [{ dst: "10.0.0.0/8", advmss: 1360, table: 0, scope: 0, priority: 0 }],
    dns: {},
  };
  expect(rendered(told, "1.1.0")).toEqual({ cniVersion: "1.1.0", ...told });
  expect(rendered(told, "1.0.0")).toEqual({
    cniVersion: "1.0.0",
    interfaces: [{ name: "net1", sandbox: "/run/netns/pod" }],
    ips: [],
    routes: [{ dst: "10.0.0.0/8" }],
    dns: {},
  });
});

test.each(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const)(
  "in %s index 0 is an index, and no index is none",
  (version) => {
    const ips = [{ address: "10.20.1.2/32", interface: 0 }, { address: "10.20.1.3/32" }];
    const [first, second] = rendered({ ...FOUR, ips }, version).ips;
    expect(first.interface).toBe(0);
    expect(second).not.toHaveProperty("interface");
    expect(readResult(rendered({ ...FOUR, ips }, version), version).ips).toEqual(ips);
  },
);

test.each(CNI_VERSIONS.slice(2))("a result of version %s is read as it was rendered", (version) => {
  const read = readResult(rendered(DUAL, version), "0.1.0");
  expect(read.ips).toEqual(DUAL.ips);
  expect(read.dns).toEqual(DUAL.dns);
  expect(read.interfaces.map(({ name, sandbox }) => [name, sandbox])).toEqual([
    ["cali0123456789a", undefined],
    ["eth0", "/run/netns/pod"],
  ]);
  expect(read.routes.map(({ dst, gw }) => [dst, gw])).toEqual(DUAL.routes.map(({ dst, gw }) => [dst, gw]));
  expect(rendered(read, version)).toEqual(rendered(DUAL, version));
});

test.each(CNI_VERSIONS.slice(0, 2))(
  "a result of version %s is read as far as that version tells",
  (version) => {
    expect(readResult(rendered(DUAL, version), "1.1.0")).toEqual({
      interfaces: [],
      ips: [{ address: "10.20.1.2/32" }, { address: "fd00:20:1::2/128" }],
      routes: [
        { dst: "0.0.0.0/0", gw: "169.254.1.1" },
        { dst: "::/0", gw: "fe80::ecee:eeff:feee:eeee" },
      ],
      dns: DUAL.dns,
    });
  },
);

test("a result that does not say its version has the configuration's", () => {
  const four = { ip4: { ip: "10.20.1.7/24", gateway: "10.20.1.1" } };
  for (const silent of [four, { ...four, cniVersion: "" }]) {
    expect(readResult(silent, "0.2.0").ips).toEqual([{ address: "10.20.1.7/24", gateway: "10.20.1.1" }]);
    expect(readResult(silent, "1.1.0").ips).toEqual([]);
  }
});

test("lists that are absent or null are empty", () => {
  const empty = { interfaces: [], ips: [], routes: [], dns: {} };
  expect(readResult({}, "1.1.0")).toEqual(empty);
  expect(readResult({ interfaces: null, ips: null, routes: null, dns: null }, "1.1.0")).toEqual(empty);
  expect(readResult({ ip4: null }, "0.2.0")).toEqual(empty);
});

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["null", null],
  ["a list", []],
  ["text", "{}"],
  ["a number", 7],
  ["an unknown version", { cniVersion: "9.9.9" }],
  ["a version that is a number", { cniVersion: 1 }],
  ["interfaces that are no list", { interfaces: {} }],
  ["an interface without name", { interfaces: [{ mac: "02:11:22:33:44:55" }] }],
  ["interfaces of null", { interfaces: [null] }],
  ["ips of text", { ips: ["10.20.1.2/32"] }],
  ["an ip without address", { ips: [{ version: "4" }] }],
  ["an address without length", { ips: [{ address: "10.20.1.2" }] }],
  ["an address that is none", { ips: [{ address: "10.20.1.300/24" }] }],
  ['a route to "default"', { routes: [{ dst: "default" }] }],
  ["a gateway that is none", { routes: [{ dst: "0.0.0.0/0", gw: "169.254.1.1/32" }] }],
  ["a result of 0.2.0 whose ip4 is text", { cniVersion: "0.2.0", ip4: "10.20.1.2/32" }],
  ["a result of 0.2.0 whose ip4 has no ip", { cniVersion: "0.2.0", ip4: { gateway: "10.20.1.1" } }],
  [
    "a result of 0.1.0 whose routes are none",
    { cniVersion: "0.1.0", ip4: { ip: "10.20.1.2/32", routes: [{}] } },
  ],
])("%s cannot be read: a ResultError", (_, value) => {
  const error = thrown(() => readResult(value, "1.1.0"));
  expect(error).toBeInstanceOf(ResultError);
  expect(error.message).toMatch(/^Cannot read a result: /);
});

test("whatever length another IPAM plugin gave, the sandbox holds the address alone", () => {
  const ips = [{ address: "10.20.1.7/24" }, { address: "fd00::7/64" }, { address: "10.20.1.8/32" }];
  expect(narrowed(ips).map(formatPrefix)).toEqual(["10.20.1.7/32", "fd00::7/128", "10.20.1.8/32"]);
});

test("resultIp() is the address with its length, at an index that may be 0", () => {
  const [prefix] = narrowed([{ address: "10.20.1.7/24" }]);
  expect(resultIp(prefix as NonNullable<typeof prefix>, 0)).toEqual({
    address: "10.20.1.7/32",
    interface: 0,
  });
});

test("the first DNS settings that say anything win, whole", () => {
  const first = { nameservers: ["192.0.2.53"] };
  const second = { domain: "example.org", nameservers: ["192.0.2.54"] };
  expect(mergedDns(first, second)).toEqual(first);
  expect(mergedDns(undefined, {}, { nameservers: [], domain: "" }, second)).toEqual(second);
  expect(mergedDns({ options: ["ndots:5"] }, second)).toEqual({ options: ["ndots:5"] });
  expect(mergedDns(undefined, {})).toEqual({});
});
