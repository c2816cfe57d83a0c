// slash32 plan: a script that does what ADD does, and a command that does nothing.
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { slash32 } from "../helpers/command.ts";
import { TestHost, type TestHostOptions, TestNetns } from "../helpers/lab.ts";
import { refused, succeeded } from "../helpers/outcome.ts";
import { difference, picture, settle } from "../helpers/picture.ts";
import { add, del, netconf } from "../helpers/plugin.ts";

const DUAL = { ipam: { ranges: [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]] } };
const POD = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0";

/** All there is to see: kernel and store. */
function everything(host: TestHost, ...pods: TestNetns[]): string[] {
  return [...[host, host.router, ...pods].flatMap(picture), ...files(host.stateDir)];
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [`${directory} is not there`];
  const entries = readdirSync(directory, { recursive: true }) as string[];
  return entries.sort().map((name) => {
    const { size, mtimeMs, mode, isFile } = Object.assign(statSync(join(directory, name)));
    const text = isFile.call(statSync(join(directory, name)))
      ? readFileSync(join(directory, name), "base64")
      : "";
    return `${name} ${size} ${mtimeMs} ${mode} ${text}`;
  });
}

/** Asks for a plan and asserts that asking changed nothing. */
function planned(host: TestHost, pod: TestNetns, input: object, ...options: string[]): string {
  for (const netns of [host, host.router, pod]) settle(netns);
  const before = everything(host, pod);
  const { stdout, stderr, exitCode } = slash32(host, ["plan", "--netns", pod.path, ...options], { input });
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  expect(difference(before, everything(host, pod))).toEqual({ gone: [], came: [] });
  return stdout;
}

/** As root, in a shell on the host. */
function paste(host: TestHost, script: string): void {
  const { exitCode, stderr, stdout } = execaSync("nsenter", [`--net=${host.path}`, "sh"], {
    input: script,
    reject: false,
  });
  // ip(8) says so of names in /run/netns that lead to no namespace (any more): another test may have such.
  const words = stderr.replaceAll(/^Error: Peer netns reference is invalid\.\n?/gm, "");
  expect({ exitCode, stderr: words, stdout }).toEqual({ exitCode: 0, stderr: "", stdout: "" });
}

describe("pasted into a shell, the plan leaves what ADD leaves", () => {
  const hosts: readonly [string, TestHostOptions][] = [
    ["a host with a default route", {}],
    ["a host without one, where the gateway's MAC has to be pinned", { defaultRoute: false }],
    ["a host without IPv6", { ipv6: false }],
  ];
  const cases: readonly [string, object, (pod: TestNetns) => void][] = [
    ["IPv4", {}, () => {}],
    ["dual stack", DUAL, () => {}],
    ["IPv6", { ipam: { ranges: [[{ subnet: "fd00:20::/64" }]] } }, () => {}],
    [
      "routes of its own, a pinned gateway and forwarding",
      {
        ...DUAL,
        routes: [{ dst: "10.0.0.0/8", mtu: 1400, priority: 7 }, { dst: "0.0.0.0/0" }],
        gatewayNeighbour: "permanent",
        allowIpForwarding: true,
        mtu: 1400,
      },
      () => {},
    ],
    [
      "a sandbox that has a default route already",
      DUAL,
      (pod) => {
        pod.ip("link", "add", "net0", "type", "veth", "peer", "name", "net1");
        for (const name of ["net0", "net1"]) pod.setSysctl(`net/ipv6/conf/${name}/addr_gen_mode`, 1);
        pod.ipBatch(
          "link set net0 up",
          "link set net1 up",
          "address add 172.16.0.2/24 dev net0",
          "route add default via 172.16.0.1 dev net0",
        );
      },
    ],
  ];
  const all = hosts.flatMap(([title, options]) =>
    cases
      .filter(([name]) => options.ipv6 !== false || name === "IPv4")
      .map(([name, config, prepare]) => ({ title, options, name, config, prepare })),
  );

  test.each(all)("$name on $title", ({ options, config, prepare }) => {
    const pictures = (["plan", "ADD"] as const).map((way) => {
      using host = new TestHost(options);
      using pod = new TestNetns("pod");
      prepare(pod);
      const input = netconf(host, config as never);
      if (way === "plan") paste(host, planned(host, pod, input, "--container", "c1", "--args", POD));
      else succeeded(add({ host, netns: pod, netconf: input, containerId: "c1", args: POD }));
      return { host: settled(host), pod: settled(pod) };
    });
    const [byHand, byPlugin] = pictures;
    expect(difference(byPlugin?.pod ?? [], byHand?.pod ?? [])).toEqual({ gone: [], came: [] });
    expect(difference(byPlugin?.host ?? [], byHand?.host ?? [])).toEqual({ gone: [], came: [] });
    expect(byHand).toEqual(byPlugin);
  });

  /** Without the MACs that the kernel makes up, and what follows from them. */
  function settled(netns: TestNetns): string[] {
    settle(netns);
    return picture(netns)
      .filter(
        (line) =>
          !/ (uplink0|net[01]) .*(fe80|mac)|fe80::.* (uplink0|net[01])\b|(uplink0|net[01]) fe80/.test(line),
      )
      .filter(
        (line) =>
          !/^net\/ipv[46]\/(neigh|conf)\/(uplink0|net[01])|stable_secret|inet_peer|rt_cache/.test(line),
      );
  }
});

describe("the lease", () => {
  test("is the one that ADD then takes, and is told", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    using other = new TestNetns("pod");
    succeeded(add({ host, netns: other, netconf: netconf(host), containerId: "other" }));
    const script = planned(host, pod, netconf(host), "--container", "c1");
    expect(script).toMatch(/^# Address: 10\.20\.1\.3, the next that is free\./m);
    const answer = succeeded(add({ host, netns: pod, netconf: netconf(host), containerId: "c1" }));
    expect(answer.ips?.[0]?.address).toBe("10.20.1.3/32");
  });

  test("is not one that is in use on the host though no store knows it", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    host.ip("route", "add", "10.20.1.2/32", "dev", "uplink0");
    rmSync(host.stateDir, { recursive: true });
    expect(planned(host, pod, netconf(host))).toMatch(/^# Address: 10\.20\.1\.3,/m);
    expect(existsSync(host.stateDir)).toBe(false);
  });

  test("is the one asked for, or why it cannot be had", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    expect(planned(host, pod, netconf(host), "--args", "IP=10.20.1.77")).toContain(
      "10.20.1.77, as asked for",
    );
    const options = ["plan", "--netns", pod.path, "--args", "IP=10.99.0.1"];
    const { exitCode, stderr, stdout } = slash32(host, options, { input: netconf(host) });
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/^slash32 plan: Cannot lease the requested address 10\.99\.0\.1/);
  });

  test("of another IPAM plugin cannot be known, but said", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const input = netconf(host, { ipam: { type: "host-local", subnet: "10.9.0.0/24" } });
    const { exitCode, stderr } = slash32(host, ["plan", "--netns", pod.path], { input });
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/asking it is leasing; give --address/),
    });
    expect(planned(host, pod, input, "--address", "10.9.0.5")).toContain(
      "ip address add 10.9.0.5/32 dev eth0",
    );
  });
});

describe("what ADD would find", () => {
  test("complete is left alone", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const call = { host, netns: pod, netconf: netconf(host), containerId: pod.name };
    succeeded(add(call));
    expect(planned(host, pod, call.netconf)).toContain("# Nothing: it is all there already.");
    expect(planned(host, pod, call.netconf, "--json")).toBe("[]");
  });

  test("half made is made anew", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const call = { host, netns: pod, netconf: netconf(host), containerId: pod.name };
    succeeded(add(call));
    const complete = picture(pod);
    pod.ip("route", "delete", "default");
    const script = planned(host, pod, call.netconf);
    expect(script).toContain("ip link delete cali");
    paste(host, script);
    expect(difference(complete, picture(pod))).toEqual({ gone: [], came: [] });
    expect(planned(host, pod, call.netconf)).toContain("# Nothing");
  });

  test("in the way is named as ADD names it", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    pod.ip("link", "add", "eth0", "type", "veth", "peer", "name", "x");
    const { exitCode, stderr } = slash32(host, ["plan", "--netns", pod.path], { input: netconf(host) });
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/Cannot add eth0 to the sandbox: it has an interface of that name/),
    });
    refused(add({ host, netns: pod, netconf: netconf(host) }), 102);
  });
});

test("names that mean something to a shell are words to the script, and do what ADD does", () => {
  using host = new TestHost();
  using pod = new TestNetns("pod");
  const ifName = "$(>x);'`\"";
  const args = `K8S_POD_NAMESPACE=a;K8S_POD_NAME=it's "$(touch ${host.stateDir}/pwned)" \`id\` \\`;
  const call = { host, netns: pod, netconf: netconf(host, DUAL), containerId: "c1", ifName, args };
  succeeded(add(call));
  const wanted = [...picture(pod), ...picture(host)];
  del(call);
  rmSync(join(host.stateDir, "podnet"), { recursive: true });
  paste(host, planned(host, pod, call.netconf, "--container", "c1", "--ifname", ifName, "--args", args));
  expect(difference(wanted, [...picture(pod), ...picture(host)])).toEqual({ gone: [], came: [] });
  expect(readdirSync(host.stateDir)).toEqual([]);
});

describe("what it is told", () => {
  test("comes from the environment of a runtime as well, and a sandbox by its name", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const env = { CNI_NETNS: pod.path, CNI_CONTAINERID: "from-env", CNI_IFNAME: "net7" };
    const byEnvironment = slash32(host, ["plan"], { input: netconf(host), env });
    expect(byEnvironment.stdout).toContain("podnet/from-env/net7");
    const options = ["plan", "--netns", pod.name, "--container", "from-env", "--ifname", "net7"];
    expect(slash32(host, options, { input: netconf(host) })).toEqual(byEnvironment);
  });

  test("may be a whole list", () => {
    using host = new TestHost();
    using pod = new TestNetns("pod");
    const { name, cniVersion, ...entry } = netconf(host);
    const list = { name, cniVersion, plugins: [{ type: "other" }, entry] };
    expect(planned(host, pod, list)).toEqual(planned(host, pod, netconf(host)));
  });

  test.each([
    ["no sandbox", [], /Cannot plan without a sandbox: give --netns PATH/],
    ["an impossible name", ["--netns", "/x", "--ifname", "a/b"], /Cannot use CNI_IFNAME="a\/b"/],
    ["an unknown option", ["--nets", "x"], /Unknown option '--nets'/],
    ["an operand", ["--netns", "/x", "demo"], /plan takes no "demo"/],
  ])("%s is exit status 2", (_, options, words) => {
    using host = new TestHost();
    const { exitCode, stderr } = slash32(host, ["plan", ...options], { input: netconf(host) });
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringMatching(words) });
  });
});

test("--json tells every step with side, kind, reason, command and values", () => {
  using host = new TestHost();
  using pod = new TestNetns("pod");
  const script = planned(host, pod, netconf(host, DUAL));
  const steps = JSON.parse(planned(host, pod, netconf(host, DUAL), "--json")) as Record<string, unknown>[];
  for (const step of steps) {
    expect(step).toMatchObject({
      on: expect.stringMatching(/^(host|sandbox)$/),
      kind: expect.any(String),
      why: expect.any(String),
      command: expect.any(String),
    });
  }
  const commands = script
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#") && line !== "set -eu");
  expect(steps.map(({ command }) => command)).toEqual(commands);
  expect(steps).toContainEqual(
    expect.objectContaining({ kind: "address", dev: "eth0", address: "fd00:20::2" }),
  );
  expect(steps).toContainEqual(
    expect.objectContaining({ kind: "route", on: "host", dst: "10.20.1.2/32", protocol: 32 }),
  );
});
