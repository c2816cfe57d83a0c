import { expect, test } from "vitest";
import { CniError } from "../../src/cni/error.ts";
import {
  readNetconf,
  refuse,
  removalDocument,
  validAttachments,
  validDocument,
} from "../../src/cni/netconf.ts";
import { CNI_VERSIONS } from "../helpers/schema.ts";
import { thrown } from "../helpers/thrown.ts";

const MINIMAL = { cniVersion: "1.1.0", name: "podnet", type: "slash32" };

const read = (overrides: object = {}) => readNetconf(JSON.stringify({ ...MINIMAL, ...overrides }));

function refusal(work: () => unknown): CniError {
  const error = thrown(work);
  expect(error).toBeInstanceOf(CniError);
  return error as unknown as CniError;
}

test("a minimal configuration has nothing wrong with it, and keeps its text to the letter", () => {
  const text = `  ${JSON.stringify(MINIMAL)}\n`;
  const netconf = readNetconf(text);
  expect(netconf).toMatchObject({ cniVersion: "1.1.0", name: "podnet", text, mistakes: [] });
  expect(validDocument(netconf)).toMatchObject(MINIMAL);
});

test.each([
  ["nothing", ""],
  ["white space", " \n\t"],
  ["no JSON", "not json"],
  ["a list", "[]"],
  ["a string", '"x"'],
  ["a number", "7"],
  ["true", "true"],
  ["truncated JSON", '{"name": "podnet"'],
  ["garbage after the object", '{"name": "podnet"} x'],
  ["two objects", '{"name": "a"}{"name": "b"}'],
  ["a byte order mark", `\ufeff${JSON.stringify(MINIMAL)}`],
  ["100 000 nested lists", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
])("%s is code 6", (_, text) => {
  expect(refusal(() => readNetconf(text))).toMatchObject({ code: 6, reason: "UndecodableConfig" });
});

test.each([
  ["name", 5],
  ["name", ["a"]],
  ["name", {}],
  ["name", true],
  ["cniVersion", 1.1],
  ["cniVersion", ["1.1.0"]],
])("%s of another type (%j) is code 6", (key, value) => {
  const error = refusal(() => read({ [key]: value }));
  expect(error).toMatchObject({
    code: 6,
    message: `Cannot read the network configuration: ${key} must be a string`,
  });
});

test("null is an empty configuration: code 7, for its name is missing", () => {
  expect(refusal(() => readNetconf("null"))).toMatchObject({
    code: 7,
    message: "Cannot use the network configuration: name is missing, expected the network's name",
  });
});

test.each([undefined, "", "../x", "a/b", "-a", "_a", ".", "..", ".hidden", "a b", "ä", "a\n", "a\0"])(
  "the name %j is code 7",
  (name) => {
    expect(refusal(() => read({ name }))).toMatchObject({ code: 7, reason: "InvalidConfig" });
  },
);

test("a name of 200 characters is the longest, as it is a directory's", () => {
  expect(read({ name: "n".repeat(200) }).name).toHaveLength(200);
  expect(refusal(() => read({ name: "n".repeat(201) }))).toMatchObject({
    code: 7,
    message: expect.stringContaining("201 characters, expected at most 200"),
  });
});

test.each(CNI_VERSIONS)("version %s is spoken", (cniVersion) => {
  expect(read({ cniVersion }).cniVersion).toBe(cniVersion);
});

test.each([undefined, ""])("cniVersion %j is 0.1.0", (cniVersion) => {
  expect(read({ cniVersion }).cniVersion).toBe("0.1.0");
});

test.each(["9.9.9", "1.0", "1", "v1.0.0", "1.1.0-rc1", "1.1.0 ", "01.1.0", "0.3.2", "constructor"])(
  "cniVersion %j is code 1, with both sides in the details",
  (cniVersion) => {
    expect(refusal(() => read({ cniVersion }))).toMatchObject({
      code: 1,
      reason: "IncompatibleVersion",
      details: `config is ${JSON.stringify(cniVersion)}, plugin supports ${JSON.stringify(CNI_VERSIONS)}`,
    });
  },
);

test.each<[string, object, number]>([
  ["a version of another type before a bad name", { cniVersion: 1, name: "../x" }, 6],
  ["a name of another type before an unknown version", { cniVersion: "9.9.9", name: 5 }, 6],
  ["a bad name before an unknown version", { cniVersion: "9.9.9", name: "../x" }, 7],
  ["a missing name before an unknown version", { cniVersion: "9.9.9", name: undefined }, 7],
  ["an unknown version before a mistake in a key", { cniVersion: "9.9.9", mtu: "big" }, 1],
])("%s: the first in the order 6, 7, 1 is told", (_, overrides, code) => {
  expect(refusal(() => read(overrides)).code).toBe(code);
});

test("keys of other people are tolerated, whatever is in them", () => {
  const { mistakes, document } = read({
    capabilities: { ips: true },
    runtimeConfig: { portMappings: [{ HostPort: 80 }], "io.kubernetes.cri.pod-annotations": {} },
    args: { cni: { labels: [{ key: "a", value: "b" }] }, other: 7 },
    "cni.dev/valid-attachments": null,
    disableCheck: true,
    cniVersions: ["1.0.0"],
    constructor: 5,
    ipam: { type: "slash32", dataDir: "/x", ranges: [[{ subnet: "10.20.1.0/24", what: 5 }]] },
  });
  expect(mistakes).toEqual([]);
  expect(document.runtimeConfig).toEqual({});
});

test("a key named __proto__ is a key like any other, and changes nothing", () => {
  const netconf = readNetconf(
    `{"__proto__": {"mtu": 9}, "runtimeConfig": {"__proto__": {"ips": ["1.2.3.4"]}}, ${JSON.stringify(MINIMAL).slice(1)}`,
  );
  expect(netconf.mistakes).toEqual([]);
  expect(netconf.document.mtu).toBeUndefined();
  expect(netconf.document.runtimeConfig?.ips).toBeUndefined();
  expect(({} as { mtu?: number }).mtu).toBeUndefined();
});

test("of a duplicate key the last counts, as for Go", () => {
  expect(
    readNetconf('{"name":"a","name":"b","type":"slash32","cniVersion":"9.9.9","cniVersion":"1.0.0"}'),
  ).toMatchObject({
    name: "b",
    cniVersion: "1.0.0",
  });
});

test("five megabytes of other people's keys are read", () => {
  const { document } = read({ other: Array.from({ length: 100 }, () => "x".repeat(50_000)) });
  expect(document.name).toBe("podnet");
});

test("all mistakes are told at once: the first in the message, every one in the details", () => {
  const netconf = read({
    mtu: "big",
    stateDir: "relative",
    gatewayNeighbour: "arp",
    ipam: { ranges: [[{ rangeStart: "x" }]] },
  });
  const error = refusal(() => validDocument(netconf));
  expect(error).toMatchObject({ code: 7, reason: "InvalidConfig" });
  expect(error.details?.split("\n").sort()).toEqual([
    'gatewayNeighbour is "arp", expected one of "auto", "proxy-arp", "permanent"',
    'ipam.ranges[0][0].subnet is missing, expected a value, such as "10.20.1.0/24" or "usePodCidr"',
    'mtu is "big", expected an integer',
    'stateDir is "relative", expected text of the form ^/, such as "/run/slash32"',
  ]);
  expect(error.message).toMatch(/^Cannot use the network configuration: .* \(and 3 more, see details\)$/);
  expect(error.message).not.toContain("\n");
});

test("one mistake is told without a count", () => {
  const error = refusal(() => validDocument(read({ mtu: -1 })));
  expect(error.message).toBe("Cannot use the network configuration: mtu is -1, expected at least 0");
  expect(error.details).toBe("mtu is -1, expected at least 0");
});

test.each<[string, object, string]>([
  ["an MTU beyond 65535", { mtu: 65536 }, "mtu"],
  ["half an MTU", { mtu: 1450.5 }, "mtu"],
  ["a prefix that leaves no room for the hash", { hostInterfacePrefix: "calico" }, "hostInterfacePrefix"],
  ["a prefix with a slash", { hostInterfacePrefix: "a/" }, "hostInterfacePrefix"],
  ["an empty prefix", { hostInterfacePrefix: "" }, "hostInterfacePrefix"],
  ["a relative stateDir", { stateDir: "run" }, "stateDir"],
  ["forwarding as text", { allowIpForwarding: "yes" }, "allowIpForwarding"],
  ["routes without destination", { routes: [{}] }, "routes[0].dst"],
  ["a route's MTU too small for IPv4", { routes: [{ dst: "0.0.0.0/0", mtu: 67 }] }, "routes[0].mtu"],
  ["an unknown log level", { logLevel: "verbose" }, "logLevel"],
  ["ranges that are not nested", { ipam: { ranges: [{ subnet: "10.20.1.0/24" }] } }, "ipam.ranges[0]"],
  ["an empty set", { ipam: { ranges: [[]] } }, "ipam.ranges[0]"],
  ["ips that are no list", { runtimeConfig: { ips: "10.20.1.7" } }, "runtimeConfig.ips"],
  ["a missing type", { type: undefined }, "type"],
])("%s is a mistake under its own key", (_, overrides, key) => {
  expect(read(overrides).mistakes.map((mistake) => mistake.key)).toEqual([key]);
});

test("DEL tolerates mistakes in keys that it does not need", () => {
  const netconf = read({
    mtu: "big",
    routes: 7,
    gatewayNeighbour: "x",
    runtimeConfig: { ips: 3 },
    dns: 5,
    type: undefined,
  });
  expect(netconf.mistakes.length).toBeGreaterThan(4);
  expect(removalDocument(netconf).name).toBe("podnet");
  expect(() => validDocument(netconf)).toThrow(CniError);
});

test.each<[string, object]>([
  ["ranges", { ipam: { ranges: [[{ subnet: 7 }]] } }],
  ["routes of the ipam section", { ipam: { routes: "all" } }],
])("DEL tolerates mistakes in %s: yesterday's pod has none of them", (_, overrides) => {
  expect(removalDocument(read(overrides)).ipam).toEqual((overrides as { ipam: object }).ipam);
});

test.each<[string, object]>([
  ["stateDir", { stateDir: 5 }],
  ["hostInterfacePrefix", { hostInterfacePrefix: "much-too-long" }],
  ["ipam", { ipam: "slash32" }],
  ["ipam.type", { ipam: { type: 5 } }],
])("DEL refuses a mistake in %s: without it the attachment is not found", (key, overrides) => {
  expect(refusal(() => removalDocument(read(overrides))).details).toMatch(new RegExp(`^${key} is `));
});

test("containerd's capitalised capability keys are understood, its nulls and empty texts are absent", () => {
  const { mistakes, document } = read({
    runtimeConfig: {
      IPs: ["10.20.1.7/24"],
      MAC: "02:11:22:33:44:55",
      IpRanges: [
        [{ Subnet: "10.20.1.0/24", RangeStart: "10.20.1.9", RangeEnd: "", Gateway: null, Exclude: null }],
      ],
      dns: { Servers: ["192.0.2.53"], Searches: ["example.org"], Options: null },
    },
  });
  expect(mistakes).toEqual([]);
  expect(document.runtimeConfig).toEqual({
    ips: ["10.20.1.7/24"],
    mac: "02:11:22:33:44:55",
    ipRanges: [[{ subnet: "10.20.1.0/24", rangeStart: "10.20.1.9" }]],
    dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
  });
});

test("capabilities in the specification's spelling are understood as well", () => {
  const runtimeConfig = {
    ips: ["10.20.1.7"],
    mac: "02:11:22:33:44:55",
    ipRanges: [[{ subnet: "10.20.1.0/24" }]],
    dns: { servers: ["192.0.2.53"], searches: ["example.org"], options: ["ndots:5"] },
  };
  expect(read({ runtimeConfig }).document.runtimeConfig).toEqual({
    ...runtimeConfig,
    dns: { nameservers: ["192.0.2.53"], search: ["example.org"], options: ["ndots:5"] },
  });
});

test("capabilities that are null are none", () => {
  expect(
    read({ runtimeConfig: { ips: null, ipRanges: null, dns: null, mac: "" } }).document.runtimeConfig,
  ).toEqual({});
  expect(read({ runtimeConfig: null }).mistakes).toEqual([]);
});

test("a mistake inside a capitalised range is told in the schema's spelling", () => {
  const { mistakes } = read({ runtimeConfig: { IpRanges: [[{ Subnet: 5 }]] } });
  expect(mistakes).toMatchObject([{ key: "runtimeConfig.ipRanges[0][0].subnet", value: 5 }]);
});

const VALID = "cni.dev/valid-attachments";
const RELEASED = "cni.dev/attachments";

test.each([VALID, RELEASED])("%s lists the attachments to keep, as pairs in this network", (key) => {
  const list = [
    { containerID: "a", ifname: "eth0" },
    { containerID: "a", ifname: "eth1" },
  ];
  expect(validAttachments(read({ [key]: list }))).toEqual([
    { network: "podnet", containerId: "a", ifName: "eth0" },
    { network: "podnet", containerId: "a", ifName: "eth1" },
  ]);
});

test.each([
  ["null", null],
  ["[]", []],
])("%s (CRI-O, multus) says that none is valid", (_, value) => {
  expect(validAttachments(read({ [VALID]: value }))).toEqual([]);
  expect(validAttachments(read({ [RELEASED]: value }))).toEqual([]);
});

test("no list at all says nothing", () => {
  expect(validAttachments(read())).toBeUndefined();
});

test("of both spellings libcni's newer one counts", () => {
  const of = (containerID: string) => [{ containerID, ifname: "eth0" }];
  expect(validAttachments(read({ [VALID]: of("new"), [RELEASED]: of("old") }))).toMatchObject([
    { containerId: "new" },
  ]);
});

test.each([[["a"]], [{}], ["a"], [[{ containerID: "a" }]], [[{ containerID: 1, ifname: "eth0" }]], [[null]]])(
  "a list that is none (%j) is code 7: nothing is removed on a guess",
  (value) => {
    expect(refusal(() => validAttachments(read({ [VALID]: value })))).toMatchObject({ code: 7 });
  },
);

test("refuse() without mistakes lets pass", () => {
  expect(() => refuse([])).not.toThrow();
});
