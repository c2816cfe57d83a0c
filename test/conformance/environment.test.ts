// CNI specification, section 2, "Parameters": what the environment must hold, and what it may.

import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { Occupant } from "../helpers/occupant.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, gc, netconf, plugin, status, type Verb, version } from "../helpers/plugin.ts";

const host = new TestHost();
const sandbox = new TestNetns();
const call = { host, netns: sandbox, netconf: netconf(host) };
const NO_LIST = { "cni.dev/valid-attachments": [] };

afterAll(() => {
  sandbox[Symbol.dispose]();
  host[Symbol.dispose]();
});

// Whatever was asked, refused or taken back: no test leaves anything on the host.
afterEach(() => expect(remains(host)).toEqual(NOTHING));

function links(netns: TestNetns): string[] {
  return (netns.ip("link") as { ifname: string }[]).map(({ ifname }) => ifname);
}

describe("CNI_COMMAND", () => {
  test.each(["add", "Add", " ADD", "ADD ", "ADD\n", "REMOVE", "constructor", "__proto__", "toString"])(
    "%j is refused with code 4, by its name",
    (command) => {
      const { msg } = refused(plugin("ADD", { ...call, env: { CNI_COMMAND: command } }), 4);
      expect(msg).toContain(`CNI_COMMAND=${JSON.stringify(command)}`);
    },
  );

  test("an unknown verb is reported after an undecodable or invalid configuration", () => {
    const env = { CNI_COMMAND: "REMOVE" };
    refused(plugin("ADD", { ...call, env, stdin: "not JSON" }), 6);
    refused(plugin("ADD", { ...call, env, stdin: "{}" }), 7);
    refused(plugin("ADD", { ...call, env, netconf: { ...call.netconf, cniVersion: "9.9.9" } }), 1);
  });

  test.each([undefined, ""])("%j means a person calls: usage on stderr, nothing on stdout", (command) => {
    const outcome = plugin("ADD", { ...call, env: { CNI_COMMAND: command } });
    expect(outcome).toMatchObject({ exitCode: 2, stdout: "" });
    expect(outcome.stderr).toContain("CNI_COMMAND");
  });
});

describe("missing variables", () => {
  const needed = {
    ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  } as const;

  for (const [verb, names] of Object.entries(needed) as [keyof typeof needed, readonly string[]][]) {
    test.each([undefined, ""])(`${verb} with all of them %j names all in one message`, (value) => {
      const env = Object.fromEntries(names.map((name) => [name, value]));
      const { msg } = refused(plugin(verb, { ...call, env }), 4);
      for (const name of names) expect(msg).toContain(name);
    });

    test.each(names)(`${verb} without %s names it alone`, (missing) => {
      const { msg } = refused(plugin(verb, { ...call, env: { [missing]: undefined } }), 4);
      expect(msg.match(/CNI_\w+/g)).toEqual([missing]);
    });
  }

  test.each([undefined, ""])("DEL does not need CNI_NETNS: %j will do", (value) => {
    silent(del({ ...call, env: { CNI_NETNS: value } }));
  });

  test("an invalid value is reported at once, before those that are missing", () => {
    const env = { CNI_CONTAINERID: "../x", CNI_NETNS: undefined, CNI_IFNAME: undefined };
    expect(refused(add({ ...call, env }), 4).msg).not.toContain("CNI_NETNS");
  });

  test("the environment is judged before the configuration is", () => {
    for (const stdin of ["", "not JSON", "{}"]) {
      refused(add({ ...call, stdin, env: { CNI_CONTAINERID: "" } }), 4);
      refused(add({ ...call, stdin, env: { CNI_IFNAME: "a/b" } }), 4);
    }
  });
});

describe("CNI_CONTAINERID", () => {
  const wrong = ["../x", "a/b", "a b", "-a", "_a", ".a", "ä", "a\n", "a\r", "a:b", "a%b", "a\u00a0"];

  test.each(wrong)("%j is refused with code 4 by ADD, CHECK and DEL", (containerId) => {
    for (const verb of ["ADD", "CHECK", "DEL"] as const) {
      const { msg } = refused(plugin(verb, { ...call, containerId }), 4);
      expect(msg).toContain("CNI_CONTAINERID");
    }
  });

  test.each([
    ["of 64 hexadecimal digits", "0123456789abcdef".repeat(4)],
    ["of one character", "a"],
    ["of 3000 characters", "x".repeat(3000)],
    ["with every character that is allowed", "A..z_-.0"],
  ])("one %s is attached and detached", (_, containerId) => {
    succeeded(add({ ...call, containerId }));
    silent(del({ ...call, containerId }));
  });

  test("two long ones that differ only in their last character are two attachments", () => {
    using other = new TestNetns();
    const first = { ...call, containerId: `${"x".repeat(300)}1` };
    const second = { ...call, containerId: `${"x".repeat(300)}2`, netns: other };
    succeeded(add(first));
    succeeded(add(second));
    expect(remains(host)).toMatchObject({ links: { length: 2 }, leases: 2 });
    silent(del(first));
    silent(del(second));
  });
});

describe("CNI_IFNAME", () => {
  const wrong = [
    ["16 bytes", "abcdefghijklmnop"],
    ["16 bytes in 8 characters", "éééééééé"],
    ["a dot", "."],
    ["two dots", ".."],
    ["a slash", "a/b"],
    ["a colon", "a:b"],
    ["a space", "a b"],
    ["a tab", "a\tb"],
    ["a newline at its end", "eth0\n"],
    ["U+0085", "a\u0085b"],
    ["U+00A0", "a\u00a0b"],
    ["U+2003", "a\u2003b"],
    ["U+3000", "a\u3000b"],
    ["a percent sign, which the kernel would expand", "e%d"],
  ] as const;

  test.each(wrong)("%s is refused with code 4 by ADD, CHECK and DEL", (_, ifName) => {
    for (const verb of ["ADD", "CHECK", "DEL"] as const) {
      const { msg } = refused(plugin(verb, { ...call, ifName }), 4);
      expect(msg).toContain("CNI_IFNAME");
    }
    expect(links(sandbox)).toEqual(["lo"]);
  });

  test.each(["a", "abcdefghijklmno", "ééééééé", "net1.100", "eth-0_x", "{}[]()'\"$`"])(
    "%j is the name of the interface in the sandbox",
    (ifName) => {
      succeeded(add({ ...call, ifName }));
      expect(links(sandbox)).toEqual(["lo", ifName]);
      silent(del({ ...call, ifName }));
      expect(links(sandbox)).toEqual(["lo"]);
    },
  );

  test.each(["lo", "all", "default"])(
    "%j, which the kernel does not give, is an error that leaves nothing",
    (ifName) => {
      refused(add({ ...call, ifName }), 102);
      expect(links(sandbox)).toEqual(["lo"]);
    },
  );
});

describe("variables that a verb does not need", () => {
  const garbage = { CNI_CONTAINERID: "../x", CNI_NETNS: "/nowhere", CNI_IFNAME: "a/b", CNI_ARGS: ";;=" };
  const unset = Object.fromEntries([...Object.keys(garbage), "CNI_PATH"].map((name) => [name, undefined]));

  test.each([
    ["empty", {}],
    ["not set", unset],
    ["garbage", garbage],
  ])("may be %s for GC, STATUS and VERSION", (_, env) => {
    silent(gc({ host, netconf: netconf(host, NO_LIST), env }));
    silent(status({ host, netconf: netconf(host), env }));
    expect(succeeded(version({ host, netconf: netconf(host), env })).cniVersion).toBe("1.1.0");
  });

  test.each([undefined, "", ":", "/nowhere:relative"])("CNI_PATH may be %j with our own leases", (path) => {
    const env = { CNI_PATH: path };
    const result = succeeded(add({ ...call, env }));
    silent(check({ ...call, env, netconf: { ...call.netconf, prevResult: result } }));
    silent(status({ ...call, env }));
    silent(gc({ host, env, netconf: netconf(host, NO_LIST) }));
    silent(del({ ...call, env }));
  });
});

describe("CNI_NETNS", () => {
  const directory = mkdtempSync(join(host.stateDir, "paths-"));
  const at = (name: string) => join(directory, name);
  mkdirSync(at("directory"));
  writeFileSync(at("file"), "");
  symlinkSync(sandbox.path, at("link"));
  symlinkSync(at("gone"), at("dangling"));
  execaSync("mkfifo", [at("fifo")]);

  const wrong = [
    ["missing", at("missing")],
    ["below a file", at("file/netns")],
    ["a dangling symbolic link", at("dangling")],
    ["a plain file", at("file")],
    ["a directory", at("directory")],
    ["a fifo", at("fifo")],
    ["a device", "/dev/null"],
    ["a mount namespace", "/proc/self/ns/mnt"],
    ["a process namespace", "/proc/self/ns/pid"],
    ["a user namespace", "/proc/self/ns/user"],
  ] as const;

  test.each(wrong)("%s: refused by ADD and CHECK, fine for DEL", (_, netns) => {
    expect(refused(add({ ...call, netns }), 8).msg).toContain(netns);
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "10.20.1.2/32" }] };
    refused(check({ ...call, netns, netconf: { ...call.netconf, prevResult } }), 8);
    silent(del({ ...call, netns }));
  });

  test("any path that leads to a namespace will do, and is told as `sandbox` letter for letter", () => {
    const pinned = at("pinned");
    writeFileSync(pinned, "");
    execaSync("mount", ["--bind", sandbox.path, pinned]);
    const winding = sandbox.path.replace("/run/netns/", "/run/../run//netns/./");
    for (const netns of [at("link"), pinned, winding]) {
      const result = succeeded(add({ ...call, netns }));
      expect(result.interfaces?.[1]).toMatchObject({ name: "eth0", sandbox: netns });
      silent(check({ ...call, netns, netconf: { ...call.netconf, prevResult: result } }));
      silent(del({ ...call, netns }));
      expect(links(sandbox)).toEqual(["lo"]);
    }
    execaSync("umount", [pinned]);
  });

  test("the namespace of a process will do", async () => {
    using process = await Occupant.of(sandbox);
    const netns = `/proc/${process.pid}/ns/net`;
    expect(succeeded(add({ ...call, netns })).interfaces?.[1]).toMatchObject({ sandbox: netns });
    expect(links(sandbox)).toContain("eth0");
    silent(del({ ...call, netns }));
  });
});

describe("the plugin's own namespace as CNI_NETNS", () => {
  const own: readonly string[] = [host.path, "/proc/self/ns/net", "/proc/thread-self/ns/net"];

  test.each(own)("%s is refused with code 8 before anything happens, for ADD and DEL", (netns) => {
    host.ipBatch("link add eth0 type veth peer name eth0peer");
    const before = JSON.stringify(host.ip("link"));
    for (const verb of ["ADD", "DEL"] as const) refused(plugin(verb, { ...call, netns }), 8);
    expect(JSON.stringify(host.ip("link"))).toBe(before);
    host.ipBatch("link delete eth0");
  });

  test("a DEL with it does not take away the attachment either", () => {
    succeeded(add(call));
    refused(del({ ...call, netns: host.path }), 8);
    expect(links(sandbox)).toContain("eth0");
    silent(del(call));
  });

  test.each(["0", "yes", "", "truetrue"])("CNI_NETNS_OVERRIDE=%j changes nothing", (value) => {
    for (const verb of ["ADD", "DEL"] as const) {
      refused(plugin(verb, { ...call, netns: host.path, env: { CNI_NETNS_OVERRIDE: value } }), 8);
    }
  });

  test.each(["1", "true", "TRUE", "True"])("CNI_NETNS_OVERRIDE=%j allows it", (value) => {
    const overridden = { ...call, netns: host.path, env: { CNI_NETNS_OVERRIDE: value } };
    succeeded(add(overridden));
    expect(links(host)).toContain("eth0");
    silent(del(overridden));
    expect(links(host)).not.toContain("eth0");
  });
});

describe("CNI_ARGS", () => {
  const pod = [
    "K8S_POD_NAMESPACE=shop",
    "K8S_POD_NAME=cart-1",
    "K8S_POD_INFRA_CONTAINER_ID=c1",
    "K8S_POD_UID=u1",
  ];
  const known = [
    ["containerd's", [...pod, "IgnoreUnknown=1"].join(";")],
    ["containerd's in another order", ["IgnoreUnknown=1", ...pod.toReversed()].join(";")],
    ["CRI-O's", ["IgnoreUnknown=1", ...pod].join(";")],
    ["multus's, every key twice", ["IgnoreUnknown=true", ...pod, ...pod, "IgnoreUnknown=1"].join(";")],
  ] as const;

  test.each(known)("%s name the pod in the host end's alias", (_, args) => {
    succeeded(add({ ...call, args }));
    const [{ ifalias }] = host.ip("link", "show", "dev", remains(host).links[0] as string) as [
      { ifalias: string },
    ];
    expect(ifalias).toMatch(/ pod shop\/cart-1$/);
    silent(del({ ...call, args }));
  });

  test.each([
    "",
    ";",
    ";;",
    "=",
    "=value",
    "WORD",
    "A=b=c",
    "A=b;",
    ";A=b",
    "A=",
    "Unknown=1",
    "Unknown=1;IgnoreUnknown=0",
    "unknown=1;ignoreunknown=1",
    "IgnoreUnknown=1;Unknown=1",
    "IgnoreUnknown=1;K8S_POD_NAME=only-a-name",
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=;K8S_POD_NAME=;K8S_POD_INFRA_CONTAINER_ID=;K8S_POD_UID=",
    "__proto__=1;constructor=2",
  ])("%j is fine for every verb", (args) => {
    const result = succeeded(add({ ...call, args }));
    silent(check({ ...call, args, netconf: { ...call.netconf, prevResult: result } }));
    silent(del({ ...call, args }));
    silent(gc({ host, netconf: netconf(host, NO_LIST), env: { CNI_ARGS: args } }));
    silent(status({ host, netconf: netconf(host), env: { CNI_ARGS: args } }));
  });

  test("of a repeated key the last one counts", () => {
    const result = succeeded(add({ ...call, args: "IP=10.20.1.50;IP=10.20.1.51" }));
    expect(result.ips?.[0]?.address).toBe("10.20.1.51/32");
    silent(del(call));
  });

  test("pods of one name are told apart by the container, never by the name", () => {
    using other = new TestNetns();
    const args = pod.join(";");
    const first = succeeded(add({ ...call, args, containerId: "c1" }));
    const second = succeeded(add({ ...call, args, containerId: "c2", netns: other }));
    expect(second.ips?.[0]?.address).not.toBe(first.ips?.[0]?.address);
    silent(del({ ...call, args, containerId: "c1" }));
    expect(links(other)).toContain("eth0");
    silent(del({ ...call, args, containerId: "c2" }));
  });
});

describe("everything else in the environment", () => {
  test.each<Record<string, string | undefined>>([
    { PATH: undefined },
    { PATH: "/nowhere", HOME: "/nowhere", TMPDIR: "/nowhere", LANG: "xx_XX.ISO-8859-15", TZ: "Nowhere/Land" },
    { TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", BAGGAGE: "a=b" },
    { NODE_OPTIONS: "--require /nowhere.js", NODE_ENV: "production", DEBUG: "*", NO_COLOR: "1" },
  ])("%j is of no account", (env) => {
    const through = env.PATH === undefined ? ["/usr/bin/env", "-u", "PATH"] : [];
    succeeded(add({ ...call, env: { ...env, PATH: process.env.PATH }, through }));
    silent(del({ ...call, env: { ...env, PATH: process.env.PATH }, through }));
  });

  test("files in the working directory are not read: no .env, no bunfig.toml, no package.json", () => {
    const directory = mkdtempSync(join(host.stateDir, "cwd-"));
    writeFileSync(join(directory, ".env"), "CNI_IFNAME=evil0\nCNI_NETNS_OVERRIDE=1\n");
    writeFileSync(join(directory, "bunfig.toml"), 'preload = ["./preload.js"]\n');
    writeFileSync(join(directory, "preload.js"), 'console.log("preloaded")\n');
    writeFileSync(join(directory, "package.json"), "not JSON");
    const through = ["env", "-C", directory];
    const env = { CNI_IFNAME: undefined };
    expect(refused(add({ ...call, env, through }), 4).msg).toContain("CNI_IFNAME");
    succeeded(add({ ...call, through }));
    silent(del({ ...call, through }));
  });
});

test("every verb of the specification is known", () => {
  const verbs: Verb[] = ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"];
  for (const verb of verbs) {
    const outcome = plugin(verb, { ...call, env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" } });
    expect(outcome.json?.msg ?? "").not.toContain("CNI_COMMAND");
  }
});
