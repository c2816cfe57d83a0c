// Namespaces: which paths are taken for one, and that the way back is always found.
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, describe, expect, test } from "vitest";
import { Namespace, NamespaceError } from "../../src/datapath/netns.ts";
import { decodeLink, getLink, setLinkUp } from "../../src/datapath/rtnetlink/link.ts";
import { readSysctl, SysctlError, writeSysctl } from "../../src/datapath/sysctl.ts";
import { testEndpoint, wire } from "../helpers/endpoint.ts";
import { usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { links } from "../helpers/picture.ts";

const directory = mkdtempSync(join(tmpdir(), "slash32-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("open", () => {
  const plain = join(directory, "plain");
  writeFileSync(plain, "");

  test.each([
    { what: "a missing path", path: join(directory, "none"), code: "ENOENT", reason: "no such file" },
    { what: "a plain file", path: plain, code: "EINVAL", reason: "it is not a network namespace" },
    { what: "a directory", path: directory, code: "EINVAL", reason: "it is not a network namespace" },
    { what: "a device", path: "/dev/null", code: "EINVAL", reason: "it is not a network namespace" },
    {
      what: "a mount namespace",
      path: "/proc/self/ns/mnt",
      code: "EINVAL",
      reason: "it is not a network namespace",
    },
    {
      what: "the way to a process that ended",
      path: "/proc/4194305/ns/net",
      code: "ENOENT",
      reason: "no such file",
    },
  ])("refuses $what, and names it", ({ path, code, reason }) => {
    const before = openFiles();
    const error = refusal(() => Namespace.open(path));
    expect(error).toBeInstanceOf(NamespaceError);
    expect(error).toMatchObject({ path, code });
    expect(error.message).toBe(`Cannot open network namespace "${path}": ${reason}`);
    expect(openFiles()).toEqual(before);
  });

  test("takes a network namespace, and gives every descriptor back in the end", () => {
    using netns = new TestNetns();
    const before = openFiles();
    {
      using namespace = Namespace.open(netns.path);
      expect(namespace.netlink.execute(getLink("lo")).length).toBe(1);
      expect(openFiles().length).toBe(before.length + 1);
      expect(netlinkSockets(netns)).toBe(1);
    }
    expect(openFiles()).toEqual(before);
    expect(netlinkSockets(netns)).toBe(0);
  });

  test("holds a namespace whose path has gone", () => {
    using netns = new TestNetns();
    using namespace = Namespace.open(netns.path);
    netns[Symbol.dispose]();
    const [message] = namespace.netlink.execute(getLink("lo"));
    expect(decodeLink(message as never)).toMatchObject({ name: "lo", up: false });
    expect(() => Namespace.open(netns.path)).toThrow(NamespaceError);
  });
});

describe("identity", () => {
  test("is the same for two paths to one namespace, and another for another", () => {
    using a = new TestNetns();
    using b = new TestNetns();
    using first = Namespace.open(a.path);
    using again = Namespace.open(`/run/../run/netns/${a.name}`);
    using other = Namespace.open(b.path);
    using own = Namespace.current();
    expect(again.identity).toBe(first.identity);
    expect(new Set([first, other, own].map(({ identity }) => identity)).size).toBe(3);
  });

  test("of the caller's own is what /proc/self/ns/net has", () => {
    using own = Namespace.current();
    using byPath = Namespace.open("/proc/self/ns/net");
    expect(own.identity).toBe(byPath.identity);
  });
});

describe("inside", () => {
  test("is in the namespace, and comes back", () => {
    using netns = new TestNetns();
    using namespace = Namespace.open(netns.path);
    const home = whereabouts();
    const there = namespace.inside<string>(whereabouts);
    expect(there).toBe(netns.exec("readlink", "/proc/self/ns/net").stdout);
    expect(there).not.toBe(home);
    expect(whereabouts()).toBe(home);
  });

  test("comes back after a throw, with the error that was thrown", () => {
    using netns = new TestNetns();
    using namespace = Namespace.open(netns.path);
    const home = whereabouts();
    const before = openFiles();
    const thrown = new Error("inside");
    const work = () => {
      expect(whereabouts()).not.toBe(home);
      throw thrown;
    };
    expect(refusal(() => namespace.inside<void>(work))).toBe(thrown);
    expect(whereabouts()).toBe(home);
    expect(openFiles()).toEqual(before);
  });

  test("may be nested, and every level comes back to its own", () => {
    using a = new TestNetns();
    using b = new TestNetns();
    using outer = Namespace.open(a.path);
    using inner = Namespace.open(b.path);
    const seen = outer.inside<string[]>(() => [
      whereabouts(),
      inner.inside<string>(whereabouts),
      whereabouts(),
    ]);
    expect(seen[2]).toBe(seen[0]);
    expect(seen[1]).not.toBe(seen[0]);
  });
});

describe("netlink", () => {
  test("speaks of its namespace from wherever it is used", () => {
    using a = new TestNetns();
    using b = new TestNetns();
    using first = Namespace.open(a.path);
    using second = Namespace.open(b.path);
    first.netlink.execute(setLinkUp({ name: "lo", index: 1 }));
    expect(links(a)).toEqual([expect.stringMatching(/^lo up/)]);
    expect(links(b)).toEqual([expect.stringMatching(/^lo down/)]);
    // Even from inside another.
    second.inside<unknown>(() => first.netlink.execute(setLinkUp({ name: "lo", index: 1 }, { alias: "a" })));
    expect(links(a)).toEqual([expect.stringMatching(/^lo up .* "a"$/)]);
    expect(links(b)).toEqual([expect.stringMatching(/^lo down/)]);
  });
});

describe("sysctl", () => {
  test("reads and writes the namespace's own", () => {
    using a = new TestNetns();
    using b = new TestNetns();
    for (const netns of [a, b]) netns.setSysctl("net/ipv4/ip_forward", 0);
    using namespace = Namespace.open(a.path);
    writeSysctl(namespace, "net/ipv4/ip_forward", "1");
    expect([a.sysctl("net/ipv4/ip_forward"), b.sysctl("net/ipv4/ip_forward")]).toEqual(["1", "0"]);
    expect(readSysctl(namespace, "net/ipv4/ip_forward")).toBe("1");
  });

  test("tells a key that is not there from one that is refused", () => {
    using netns = new TestNetns();
    using namespace = Namespace.open(netns.path);
    expect(readSysctl(namespace, "net/ipv4/conf/none/proxy_arp")).toBeUndefined();
    const missing = refusal(() => writeSysctl(namespace, "net/ipv4/conf/none/proxy_arp", "1"));
    expect(missing).toBeInstanceOf(SysctlError);
    expect(missing).toMatchObject({ code: "ENOENT", key: "net/ipv4/conf/none/proxy_arp" });
    expect(missing.message).toBe(
      "Cannot echo 1 > /proc/sys/net/ipv4/conf/none/proxy_arp: the kernel has no such setting",
    );
    expect(refusal(() => writeSysctl(namespace, "net/ipv4/ip_forward", "many"))).toMatchObject({
      code: "EINVAL",
    });
  });

  test("finds an interface whose name has a dot", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const endpoint = testEndpoint({
      hostEnd: "cali.0.1",
      ifName: "eth0.5",
      addresses: usable(["10.20.1.2", "fd00::2"]),
    });
    wire(host, pod, endpoint);
    expect(host.sysctl("net/ipv4/conf/cali.0.1/proxy_arp")).toBe("1");
    expect(pod.ping("198.51.100.1").received).toBe(1);
  });
});

describe("a sandbox of another user namespace", () => {
  test("is wired like any other", async () => {
    using host = new TestHost();
    const sleeper = execa("unshare", ["--user", "--map-root-user", "--net", "sleep", "60"], {
      reject: false,
    });
    try {
      const ns = (kind: string, pid = `${sleeper.pid}`) => readlinkSync(`/proc/${pid}/ns/${kind}`);
      await expect.poll(() => ns("net")).not.toBe(ns("net", "self"));
      expect(ns("user")).not.toBe(ns("user", "self"));

      const addresses = usable(["10.20.1.2", "fd00:20::2"]);
      wire(host, { path: `/proc/${sleeper.pid}/ns/net` }, testEndpoint({ addresses }));
      for (const address of addresses) expect(host.ping(address).received).toBe(1);
    } finally {
      sleeper.kill();
      await sleeper;
    }
  });
});

function refusal(attempt: () => unknown): Error {
  try {
    attempt();
  } catch (error) {
    return error as Error;
  }
  throw new Error("Cannot see the refusal: there was none");
}

function whereabouts(): string {
  return readlinkSync("/proc/thread-self/ns/net");
}

/** What is open, but for what Bun opens and closes in its own time. */
function openFiles(): string[] {
  const targets = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // that of the listing itself
    }
  });
  return targets.filter((target) => target !== "" && !/^(pipe|socket|anon_inode):/.test(target)).sort();
}

/** Routing sockets of processes in a namespace: one line each, the kernel's own has port 0. */
function netlinkSockets(netns: TestNetns): number {
  const { stdout } = netns.exec("cat", "/proc/net/netlink");
  const fields = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  return fields.filter(([, protocol, port]) => protocol === "0" && port !== "0").length;
}

describe("create", () => {
  test("makes a namespace with nothing in it, which other processes reach by its path", async () => {
    using namespace = Namespace.create();
    const { stdout } = await execa("nsenter", [`--net=${namespace.path}`, "--", "ip", "-o", "link"]);
    expect(stdout).toMatch(/^1: lo: <LOOPBACK>[^\n]*$/);
    expect(namespace.identity).not.toBe(own());
  });

  test("leaves the thread where it was, and the namespace goes when it is closed", () => {
    using host = new TestHost();
    const before = { identity: own(), files: openFiles() };
    {
      using sandbox = Namespace.create();
      wire(host, sandbox, testEndpoint());
      expect(links(host)).toHaveLength(3);
    }
    expect({ identity: own(), files: openFiles() }).toEqual(before);
    expect(gone(() => links(host).length === 2)).toBe(true);
  });
});

function own(): string {
  using namespace = Namespace.current();
  return namespace.identity;
}

/** The kernel takes its time to end a namespace. */
function gone(isGone: () => boolean): boolean {
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 50) {
    if (isGone()) return true;
    Bun.sleepSync(50);
  }
  return false;
}
