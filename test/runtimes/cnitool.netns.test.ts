// cnitool with slash32: the library that most runtimes use (libcni), and what it makes of lists of plugins.

import { join } from "node:path";
import { test as base, describe, expect } from "vitest";
import { Cnitool, type CnitoolCall, cnitoolVersion } from "../helpers/cnitool.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import type { Answer } from "../helpers/plugin.ts";
import { Recorder } from "../helpers/recorder.ts";
import { installed, remark } from "../helpers/remark.ts";
import { assertValid, type CniVersion } from "../helpers/schema.ts";

/** The newest version of the specification that cnitool 1.1.2 and Debian's plugins speak. */
const NEWEST = "1.0.0";

class Scene implements Disposable {
  readonly host = new TestHost();
  readonly pod = new TestNetns("pod");
  readonly cnitool = new Cnitool(this.host);
  readonly recorder = new Recorder(join(this.host.stateDir, "calls"));

  constructor() {
    this.cnitool.install("recorder", this.recorder.script);
  }

  /** slash32 as a plugin of a list. */
  slash32(more: object = {}): object {
    const ipam = { type: "slash32", ranges: [[{ subnet: "10.20.1.0/24" }]] };
    return { type: "recorder", stateDir: this.host.stateDir, ipam, ...more };
  }

  /** Defines the network "podnet". */
  list(cniVersion: string, ...plugins: readonly object[]): void {
    this.cnitool.configure("podnet.conflist", { cniVersion, name: "podnet", plugins });
  }

  add(call?: CnitoolCall, sandbox = this.pod): Answer {
    const outcome = this.cnitool.run("add", "podnet", sandbox, call);
    expect(outcome).toMatchObject({ exitCode: 0, stderr: "" });
    return JSON.parse(outcome.stdout);
  }

  /** Success without a word. */
  silently(verb: "check" | "del", call?: CnitoolCall, sandbox = this.pod): void {
    const outcome = this.cnitool.run(verb, "podnet", sandbox, call);
    expect(outcome).toEqual({ exitCode: 0, stdout: "", stderr: "" });
  }

  [Symbol.dispose](): void {
    this.pod[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

const test = base.extend<{ scene: Scene }>({
  scene: async ({ task }, use) => {
    using scene = new Scene();
    if (task.file.meta.remarks === undefined) {
      remark(task.file, `${cnitoolVersion()} (Debian's ${installed("containernetworking-plugins")})`);
    }
    await use(scene);
  },
});

describe("a list of one plugin", () => {
  test.for<CniVersion>(["0.3.0", "0.3.1", "0.4.0", "1.0.0"])("in CNI %s", (version, { scene }) => {
    scene.list(version, scene.slash32());
    const result = scene.add();
    assertValid(`result-${version}`, result);
    expect(scene.pod.ping("198.51.100.1").received).toBe(1);
    if (version >= "0.4.0") scene.silently("check");
    scene.silently("del");
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test.for(["0.1.0", "0.2.0"])("in CNI %s, where a result knows no interfaces", (version, { scene }) => {
    scene.list(version, scene.slash32());
    expect(scene.add()).toMatchObject({ cniVersion: version, ip4: { ip: "10.20.1.2/32" } });
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("or of none: a configuration of its own", ({ scene }) => {
    const { cnitool } = scene;
    cnitool.configure("podnet.conf", { cniVersion: NEWEST, name: "podnet", ...scene.slash32() });
    expect(scene.add()).toMatchObject({ ips: [{ address: "10.20.1.2/32", interface: 1 }] });
    scene.silently("check");
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("gives every interface of a pod an address, and takes each away alone", ({ scene }) => {
    scene.list(NEWEST, scene.slash32());
    const [first, second] = [scene.add(), scene.add({ ifName: "net1" })];
    expect([first, second].map(({ ips }) => ips?.[0]?.address)).toEqual(["10.20.1.2/32", "10.20.1.3/32"]);
    scene.silently("check");
    scene.silently("check", { ifName: "net1" });
    scene.silently("del", { ifName: "net1" });
    scene.silently("check");
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });
});

/** The first command of ip that a message says to run. */
function remedy(message: string): string {
  return /; ip ([^;]+)/.exec(message)?.[1] ?? "";
}

describe("CHECK", () => {
  test("tells what is amiss, and the command that restores it", ({ scene }) => {
    scene.list(NEWEST, scene.slash32());
    scene.add();
    scene.host.ipBatch("route delete 10.20.1.2");
    const { exitCode, stderr } = scene.cnitool.run("check", "podnet", scene.pod);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^NotAsItShouldBe: .*route 10\.20\.1\.2\/32 on the host is missing/);
    scene.host.ipBatch(remedy(stderr));
    scene.silently("check");
    scene.silently("del");
  });

  test("without an ADD before is refused by cnitool or by the plugin, and changes nothing", ({ scene }) => {
    scene.list(NEWEST, scene.slash32());
    const { exitCode, stderr } = scene.cnitool.run("check", "podnet", scene.pod);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("prevResult");
    expect(remains(scene.host)).toEqual(NOTHING);
  });
});

describe("a list of several plugins", () => {
  const MAC = "02:00:00:00:00:07";

  test("gets the final result in CHECK and DEL, with what later plugins changed in it", ({ scene }) => {
    const mac = { capabilities: { mac: true } };
    const tuning = { type: "tuning", mtu: 1400, sysctl: { "net.core.somaxconn": "500" }, ...mac };
    scene.list(NEWEST, scene.slash32(mac), tuning, { type: "portmap", capabilities: { portMappings: true } });
    const call = { capabilities: { mac: MAC } };
    const result = scene.add(call);
    expect(result).toMatchObject({ interfaces: [{}, { name: "eth0", mac: MAC }] });
    expect(scene.pod.sysctl("net.core.somaxconn")).toBe("500");
    expect(scene.pod.ping("198.51.100.1").received).toBe(1);
    scene.silently("check", call);
    scene.silently("del", call);

    const told = scene.recorder.calls().map(({ verb, stdin }) => [verb, JSON.parse(stdin).prevResult]);
    expect(told).toEqual([
      ["ADD", undefined],
      ["CHECK", result],
      ["DEL", result],
    ]);
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("with a MAC that only the later plugin knows of: CHECK tells how the host is to follow", ({
    scene,
  }) => {
    scene.list(NEWEST, scene.slash32(), { type: "tuning", mac: MAC });
    scene.add();
    const { stderr } = scene.cnitool.run("check", "podnet", scene.pod);
    expect(stderr).toMatch(/^NotAsItShouldBe: .* should be 02:00:00:00:00:07/);
    scene.host.ipBatch(remedy(stderr));
    scene.silently("check");
    expect(scene.pod.ping("198.51.100.1").received).toBe(1);
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("leads a port of the host to a pod, as long as the pod is there", ({ scene }) => {
    scene.list(NEWEST, scene.slash32(), { type: "portmap", capabilities: { portMappings: true } });
    const call = {
      capabilities: { portMappings: [{ hostPort: 18080, containerPort: 8080, protocol: "tcp" }] },
    };
    scene.add(call);
    expect(scene.host.exec("iptables-save", "-t", "nat").stdout).toContain("--to-destination 10.20.1.2:8080");
    // CHECK of portmap 1.1 misses rules for IPv6, which a pod with IPv4 alone does not have.
    scene.silently("del", call);
    expect(scene.host.exec("iptables-save", "-t", "nat").stdout).not.toContain("10.20.1.2");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("is undone by DEL when a later plugin fails", ({ scene }) => {
    scene.list(NEWEST, scene.slash32(), { type: "tuning", sysctl: { "net.core.nothing": "1" } });
    const { exitCode, stderr } = scene.cnitool.run("add", "podnet", scene.pod);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("nothing");
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("keeps what an earlier plugin answered, and comes after it", ({ scene }) => {
    const earlier = {
      interfaces: [{ name: "other0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/other" }],
      ips: [{ address: "203.0.113.7/24", interface: 0 }],
      dns: { nameservers: ["203.0.113.53"] },
    };
    const answer = JSON.stringify({ cniVersion: NEWEST, ...earlier });
    scene.cnitool.install("earlier", `#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || echo '${answer}'\n`);
    scene.list(NEWEST, { type: "earlier" }, scene.slash32());
    expect(scene.add()).toMatchObject({
      interfaces: [earlier.interfaces[0], { mac: "ee:ee:ee:ee:ee:ee" }, { name: "eth0" }],
      ips: [earlier.ips[0], { address: "10.20.1.2/32", interface: 2 }],
      dns: earlier.dns,
    });
    scene.silently("check");
    scene.silently("del");
    expect(remains(scene.host)).toEqual(NOTHING);
  });
});

describe("what is asked for is given", () => {
  const CAPABILITIES = { ips: true, mac: true, ipRanges: true, dns: true };

  test("by CAP_ARGS: address, MAC and DNS", ({ scene }) => {
    scene.list(NEWEST, scene.slash32({ capabilities: CAPABILITIES }));
    const mac = "02:00:00:00:00:09";
    const dns = { servers: ["192.0.2.53"], searches: ["shop.test"] };
    expect(scene.add({ capabilities: { ips: ["10.20.1.99/24"], mac, dns } })).toMatchObject({
      interfaces: [{}, { name: "eth0", mac }],
      ips: [{ address: "10.20.1.99/32" }],
      dns: { nameservers: ["192.0.2.53"], search: ["shop.test"] },
    });
    scene.silently("check");
    scene.silently("del");
  });

  test("by CAP_ARGS: ranges of both families", ({ scene }) => {
    scene.list(NEWEST, scene.slash32({ capabilities: CAPABILITIES }));
    const ipRanges = [[{ subnet: "10.30.0.0/24", rangeStart: "10.30.0.50" }], [{ subnet: "fd30::/64" }]];
    const { ips } = scene.add({ capabilities: { ipRanges } });
    expect(ips?.map(({ address }) => address)).toEqual(["10.30.0.50/32", "fd30::2/128"]);
    expect(scene.pod.ping("2001:db8:ffff::1").received).toBe(1);
    scene.silently("check", { capabilities: { ipRanges } });
    scene.silently("del", { capabilities: { ipRanges } });
    expect(remains(scene.host)).toEqual(NOTHING);
  });

  test("unless the configuration does not offer the capability", ({ scene }) => {
    scene.list(NEWEST, scene.slash32());
    expect(scene.add({ capabilities: { ips: ["10.20.1.99"] } })).toMatchObject({
      ips: [{ address: "10.20.1.2/32" }],
    });
    scene.silently("del");
  });

  test("by CNI_ARGS, or refused in words that lead on", ({ scene }) => {
    scene.list(NEWEST, scene.slash32());
    const call = { args: "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.20.1.77;K8S_POD_NAMESPACE=shop" };
    expect(scene.add(call)).toMatchObject({ ips: [{ address: "10.20.1.77/32" }] });
    using other = new TestNetns("other");
    const { stderr } = scene.cnitool.run("add", "podnet", other, call);
    expect(stderr).toMatch(
      /: AddressUnavailable: Cannot lease the requested address 10\.20\.1\.77: it is held by/,
    );
    scene.silently("del", call);
    scene.silently("del", call, other);
    expect(remains(scene.host)).toEqual(NOTHING);
  });
});
