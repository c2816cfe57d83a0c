import { expect, test } from "vitest";
import { CniError } from "../../src/cni/error.ts";
import { attachmentOf, type Environment, isPlainName, podOf, readRequest } from "../../src/cni/request.ts";
import { thrown } from "../helpers/thrown.ts";

/** As a runtime sets it for ADD. */
const ADD: Environment = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "container-1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "",
  CNI_PATH: "/opt/cni/bin",
};

/** Asserts the refusal: CniError, code 4; its message. */
function refusal(environment: Environment): string {
  const error = thrown(() => readRequest(environment));
  expect(error).toBeInstanceOf(CniError);
  expect(error).toMatchObject({ code: 4, reason: "InvalidEnvironment" });
  return error.message;
}

test("a complete environment is read as it stands", () => {
  const environment = { ...ADD, CNI_ARGS: "IP=10.20.1.7", CNI_PATH: "/a:/b" };
  expect(readRequest(environment)).toEqual({
    verb: "ADD",
    containerId: "container-1",
    ifName: "eth0",
    netns: "/run/netns/pod",
    path: ["/a", "/b"],
    args: new Map([["IP", "10.20.1.7"]]),
    allowOwnNetns: false,
    environment,
  });
});

test.each([
  "/var/run/netns/pod",
  "/proc/4711/ns/net",
  "/run//netns/../netns/pod",
  "relative",
  "/run/netns/ ",
])("CNI_NETNS %j is kept letter for letter", (netns) => {
  expect(readRequest({ ...ADD, CNI_NETNS: netns }).netns).toBe(netns);
});

test.each([
  ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
])("%s without any variable names all it needs in one message", (verb, names) => {
  const message = `Cannot ${verb} without ${names.join(", ")}: the runtime has to set them`;
  expect(refusal({ CNI_COMMAND: verb })).toBe(message);
  const empty = Object.fromEntries(names.map((name) => [name, ""]));
  expect(refusal({ CNI_COMMAND: verb, ...empty })).toBe(message);
});

test.each(["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"])(
  "ADD without %s names it, and nothing else",
  (name) => {
    expect(refusal({ ...ADD, [name]: "" })).toBe(`Cannot ADD without ${name}: the runtime has to set them`);
    expect(refusal({ ...ADD, [name]: undefined })).toBe(
      `Cannot ADD without ${name}: the runtime has to set them`,
    );
  },
);

test("an invalid value is told before a missing one", () => {
  expect(refusal({ ...ADD, CNI_CONTAINERID: undefined, CNI_IFNAME: "a/b" })).toMatch(/CNI_IFNAME="a\/b"/);
});

test("DEL needs no CNI_NETNS, set or not", () => {
  expect(readRequest({ ...ADD, CNI_COMMAND: "DEL", CNI_NETNS: "" }).netns).toBe("");
  expect(readRequest({ ...ADD, CNI_COMMAND: "DEL", CNI_NETNS: undefined }).netns).toBe("");
});

test.each(["GC", "STATUS", "VERSION"])(
  "%s needs no variable, and does not look at what it is given",
  (verb) => {
    for (const value of [undefined, "", "dummy", "../x", "%d", "a b"]) {
      const environment = { CNI_COMMAND: verb, CNI_CONTAINERID: value, CNI_NETNS: value, CNI_IFNAME: value };
      expect(readRequest(environment).verb).toBe(verb);
    }
  },
);

test.each(["", "add", "Add", "FOO", "ADD ", "constructor", "__proto__", "toString"])(
  "a verb nobody knows (%j) is not refused here: standard input is looked at first",
  (verb) => {
    expect(readRequest({ CNI_COMMAND: verb }).verb).toBe(verb);
  },
);

test("no variable but the verb's own is demanded: not CNI_PATH, not CNI_ARGS", () => {
  const { CNI_PATH: _, CNI_ARGS: __, ...rest } = ADD;
  expect(readRequest(rest)).toMatchObject({ path: [], args: new Map() });
});

test.each(["a", "0", "A.b_c-d", "a..", "a".repeat(64), "f".repeat(300), "cnitool-77383ca0c0715733ca6f"])(
  "CNI_CONTAINERID %j is usable",
  (id) => {
    expect(readRequest({ ...ADD, CNI_CONTAINERID: id }).containerId).toBe(id);
  },
);

test.each([
  "../x",
  "a/b",
  "a b",
  "-a",
  "_a",
  ".a",
  "..",
  "ä",
  "aä",
  "a\n",
  "\na",
  "a\0",
  "a:b",
  "a%",
  " a",
  "a ",
])("CNI_CONTAINERID %j is refused with code 4 and told", (id) => {
  expect(refusal({ ...ADD, CNI_CONTAINERID: id })).toContain(`CNI_CONTAINERID=${JSON.stringify(id)}`);
});

test.each(["eth0", "e", "a".repeat(15), "éééééé", "eth0.100", "eth-0", "...", ".a", "net_1", "@", "eth0;"])(
  "CNI_IFNAME %j is usable",
  (name) => {
    expect(readRequest({ ...ADD, CNI_IFNAME: name }).ifName).toBe(name);
  },
);

test.each<[string, string]>([
  ["a".repeat(16), "it must have at most 15 bytes, it has 16"],
  ["éééééééé", "it must have at most 15 bytes, it has 16"],
  ["日本語日本語", "it must have at most 15 bytes, it has 18"],
  [".", "it must be a name"],
  ["..", "it must be a name"],
  ...[
    "a/b",
    "/",
    "a:b",
    "eth%d",
    "%",
    "a b",
    "a\t",
    "a\n",
    "a\u0085",
    "a\u00a0",
    "a\u2003",
    "a\0",
    "\x7f",
  ].map((name): [string, string] => [name, "it must not contain '/', ':', '%' or white space"]),
])("CNI_IFNAME %j is refused with code 4: %s", (name, reason) => {
  for (const verb of ["ADD", "DEL", "CHECK"]) {
    const message = refusal({ ...ADD, CNI_COMMAND: verb, CNI_IFNAME: name });
    expect(message).toBe(`Cannot use CNI_IFNAME=${JSON.stringify(name)}: ${reason}`);
  }
});

test.each<[string, [string, string][]]>([
  ["", []],
  [";", []],
  ["A=1", [["A", "1"]]],
  [
    "A=1;B=2",
    [
      ["A", "1"],
      ["B", "2"],
    ],
  ],
  ["A=1;", [["A", "1"]]],
  [";;A=1;;", [["A", "1"]]],
  ["A=", [["A", ""]]],
  ["A=b=c", [["A", "b=c"]]],
  ["A", []],
  ["=1", []],
  ["A=1;A=2", [["A", "2"]]],
  [
    "IgnoreUnknown=true;K8S_POD_NAME=a;IgnoreUnknown=1;K8S_POD_NAME=b",
    [
      ["IgnoreUnknown", "1"],
      ["K8S_POD_NAME", "b"],
    ],
  ],
  ["__proto__=1", [["__proto__", "1"]]],
])("CNI_ARGS %j is read leniently, the last of a repeated key wins", (text, expected) => {
  expect([...readRequest({ ...ADD, CNI_ARGS: text }).args]).toEqual(expected);
});

test.each([
  ["K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=1", "default/web-0"],
  ["K8S_POD_UID=1;K8S_POD_NAME=web-0;IgnoreUnknown=1;K8S_POD_NAMESPACE=default", "default/web-0"],
  ["IgnoreUnknown=1;K8S_POD_NAME=web-0", "web-0"],
  ["K8S_POD_NAMESPACE=default;K8S_POD_NAME=", "default"],
  ["K8S_POD_NAMESPACE=;K8S_POD_NAME=", undefined],
  ["", undefined],
])("CNI_ARGS %j label the pod %j", (args, pod) => {
  expect(podOf(readRequest({ ...ADD, CNI_ARGS: args }))).toBe(pod);
});

test.each([
  ["/a:/b", ["/a", "/b"]],
  ["::/a:", ["/a"]],
  ["", []],
])("CNI_PATH %j is the list %j", (path, expected) => {
  expect(readRequest({ ...ADD, CNI_PATH: path }).path).toEqual(expected);
});

test.each([
  ["1", true],
  ["true", true],
  ["TRUE", true],
  ["True", true],
  ["0", false],
  ["yes", false],
  ["1 ", false],
  ["true\n", false],
  ["", false],
  [undefined, false],
])("CNI_NETNS_OVERRIDE %j allows the own namespace: %j", (value, expected) => {
  expect(readRequest({ ...ADD, CNI_NETNS_OVERRIDE: value }).allowOwnNetns).toBe(expected);
});

test("the attachment is network, container and interface", () => {
  expect(attachmentOf(readRequest(ADD), "podnet")).toEqual({
    network: "podnet",
    containerId: "container-1",
    ifName: "eth0",
  });
});

test("a plain name never leaves its directory", () => {
  for (const name of ["..", ".", "a/..", "/a", "", "a\n"]) expect(isPlainName(name)).toBe(false);
  for (const name of ["a..", "a.b", "0"]) expect(isPlainName(name)).toBe(true);
});
