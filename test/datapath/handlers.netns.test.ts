// The verbs in the kernels and sandboxes they meet: occupied, half made, shared with another network, without IPv6.
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hostEndName } from "../../src/datapath/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { addresses, difference, links, neighbours, picture, routes, settle } from "../helpers/picture.ts";
import { type Answer, add, check, del, EXECUTABLE, netconf, type PluginOutcome } from "../helpers/plugin.ts";

const WORLD = "198.51.100.1";
const SUBNETS = ["10.20.1.0/24", "fd00:20::/64"];
const FIRST = "container-1";
const H = hostEndName("cali", { network: "podnet", containerId: FIRST, ifName: "eth0" });
const H2 = hostEndName("cali", { network: "othernet", containerId: FIRST, ifName: "net1" });

/** What the kernel changes by itself when a host begins to forward: redirects go, the routers' anycast addresses come. */
const FORWARDING = /\/(ip_forward|(mc_)?forwarding|accept_redirects) = [01]$|^route anycast /;

let resources: DisposableStack;
let host: TestHost;
let pod: TestNetns;

beforeEach(() => {
  resources = new DisposableStack();
  host = resources.use(new TestHost());
  pod = resources.use(new TestNetns("pod"));
});
afterEach(() => resources.dispose());

describe("ADD", () => {
  test("leaves an interface of the wanted name alone, and nothing of its own", () => {
    pod.ipBatch(
      "link add eth0 type veth peer name other",
      "address add 10.9.9.9/24 dev eth0",
      "link set eth0 up",
    );
    const before = [...untouched(host), ...picture(pod)];
    const { exitCode, json } = add(call());
    expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 102 } });
    expect(json?.msg).toContain("File exists");
    expect([...untouched(host), ...picture(pod)]).toEqual(before);
    expect(held()).toEqual([]);
  });

  test("replaces a leftover under the host end's name", () => {
    host.ipBatch(`link add ${H} type veth peer name leftover`, `link set ${H} up`);
    expect(add(call()).exitCode).toBe(0);
    expect(links(host)).toContainEqual(
      expect.stringMatching(new RegExp(`^${H} up .* mac ee:ee:ee:ee:ee:ee`)),
    );
    expect(links(host)).not.toContainEqual(expect.stringMatching(/^leftover/));
    expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
  });

  test("takes over from a sandbox that is gone: the same attachment in a new one", () => {
    using old = new TestNetns("pod");
    const first = add({ ...call(), netns: old });
    const second = add(call());
    expect(second.json?.ips).toEqual(first.json?.ips);
    expect(links(old).map((line) => line.split(" ")[0])).toEqual(["lo"]);
    expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
  });

  test("refuses an address that the host routes elsewhere, and gives another where none was asked for", () => {
    host.ip("route", "add", "10.20.1.2", "dev", "uplink0");
    const asked = add({ ...call(), args: "IP=10.20.1.2" });
    expect(asked).toMatchObject({ exitCode: 1, json: { code: 101 } });
    expect(links(host).length).toBe(2);
    expect(held()).toEqual([]);
    expect(add(call()).json?.ips).toEqual([{ address: "10.20.1.3/32", interface: 1 }]);
    expect(routes(host, 4)).toContain("10.20.1.2 dev uplink0 proto boot scope link");
  });

  test("fails for a sandbox that has vanished, and leaves nothing", () => {
    const { path } = pod;
    pod[Symbol.dispose]();
    const before = untouched(host);
    const { exitCode, json } = add({ ...call(), netns: path });
    expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 8 } });
    expect(json?.msg).toContain(`"${path}"`);
    expect(untouched(host)).toEqual(before);
    expect(held()).toEqual([]);
  });

  test("refuses an MTU that no kernel has, before anything is leased", () => {
    const before = untouched(host);
    const { exitCode, json } = add({ ...call(), netconf: netconf(host, { mtu: 100_000 }) });
    expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 7 } });
    expect(json?.msg).toContain("100000");
    expect(untouched(host)).toEqual(before);
    expect(held()).toEqual([]);
  });

  test("and DEL leave the host as it was, but for forwarding, which stays on", () => {
    const before = [...picture(host)];
    const configuration = ranging(...usable(SUBNETS));
    const { exitCode } = add({ ...call(), netconf: configuration });
    expect(exitCode).toBe(0);
    expect(difference(before, picture(host)).came.length).toBeGreaterThan(hasIpv6 ? 50 : 25);
    expect(del({ ...call(), netconf: configuration }).exitCode).toBe(0);
    const { gone, came } = difference(before, picture(host));
    expect(gone.filter((line) => !FORWARDING.test(line))).toEqual([]);
    expect(came.filter((line) => !FORWARDING.test(line))).toEqual([]);
    expect(links(pod).map((line) => line.split(" ")[0])).toEqual(["lo"]);
    expect(held()).toEqual([]);
  });
});

describe("a second interface, of another network, in the same sandbox", () => {
  let answers: { eth0: PluginOutcome; net1: PluginOutcome };

  beforeEach(() => {
    answers = { eth0: add(call()), net1: add(net1()) };
    expect(Object.values(answers).map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  });

  test("leaves the first default route, and does not claim it", () => {
    expect(routes(pod, 4)).toEqual([
      "default via 169.254.1.1 dev eth0 proto boot scope global",
      "169.254.1.1 dev eth0 proto boot scope link",
      "169.254.1.1 dev net1 proto boot scope link",
    ]);
    expect(answers.eth0.json?.routes).toEqual([{ dst: "0.0.0.0/0", gw: "169.254.1.1" }]);
    expect(answers.net1.json?.routes ?? []).toEqual([]);
    expect(addresses(pod, "net1").filter((line) => line.endsWith("global"))).toEqual([
      "net1 10.30.1.2/32 global",
    ]);
  });

  test("is reached by its own address, and the sandbox sends out by the first", () => {
    expect(host.ping("10.20.1.2").received).toBe(1);
    expect(host.ping("10.30.1.2").received).toBe(1);
    expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
    expect(neighbours(pod).map((line) => line.split(" ").slice(0, 3).join(" "))).toContain(
      "169.254.1.1 dev eth0",
    );
  });

  test("passes CHECK as the first does, and each sees only its own breach", () => {
    expect(checked(call(), answers.eth0.json)).toBe("");
    expect(checked(net1(), answers.net1.json)).toBe("");
    host.ip("route", "delete", "10.30.1.2");
    expect(checked(call(), answers.eth0.json)).toBe("");
    expect(checked(net1(), answers.net1.json)).toContain("route 10.30.1.2/32 on the host is missing");
  });

  test("goes alone", () => {
    expect(del(net1()).exitCode).toBe(0);
    expect(links(pod).map((line) => line.split(" ")[0])).toEqual(["lo", "eth0"]);
    expect(links(host)).not.toContainEqual(expect.stringContaining(H2));
    expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
    expect(checked(call(), answers.eth0.json)).toBe("");
  });

  test("stays when the first goes, and with it the default route", () => {
    expect(del(call()).exitCode).toBe(0);
    expect(links(host)).not.toContainEqual(expect.stringContaining(H));
    expect(routes(pod, 4)).toEqual(["169.254.1.1 dev net1 proto boot scope link"]);
    expect(host.ping("10.30.1.2").received).toBe(0); // no way back, as it never claimed one
    expect(checked(net1(), answers.net1.json)).toBe("");
  });
});

describe("a host that owns an eth0 of its own, as the pod shall", () => {
  // Linux 6.1 and 6.12 refuse a cable whose main end has the name of an interface where the message comes from, though
  // that end is to be in another namespace; 6.18 does not.
  const FAMILIES = [{ subnets: SUBNETS.slice(0, 1) }, { subnets: SUBNETS }];

  test.each(FAMILIES.filter(({ subnets }) => usable(subnets).length === subnets.length))(
    "wires pods of $subnets, and keeps it",
    ({ subnets }) => {
      host.ipBatch(
        "link add eth0 address 02:00:00:00:00:10 type veth peer name other address 02:00:00:00:00:11",
        "address add 203.0.113.1/24 dev eth0",
        "link set eth0 up",
        "link set other up",
      );
      settle(host);
      const before = untouched(host);
      const attachment = { ...call(), netconf: ranging(...subnets) };
      const added = add(attachment);
      expect(added, added.stdout).toMatchObject({ exitCode: 0 });
      expect(links(pod).map((line) => line.split(" ")[0])).toEqual(["lo", "eth0"]);
      for (const { address = "" } of added.json?.ips ?? [])
        expect(host.ping(address.replace(/\/.*/, "")).received).toBe(1);
      expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
      expect(checked(attachment, added.json)).toBe("");
      expect(del(attachment).exitCode).toBe(0);
      expect(links(pod).map((line) => line.split(" ")[0])).toEqual(["lo"]);
      expect(untouched(host).filter((line) => !FORWARDING.test(line))).toEqual(before);
    },
  );
});

describe("a kernel without IPv6", () => {
  test("wires IPv4 pods: all verbs work", () => {
    const added = withoutIpv6("ADD", netconf(host));
    expect(added).toMatchObject({ exitCode: 0, json: { ips: [{ address: "10.20.1.2/32" }] } });
    expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
    // The one setting of IPv6 that every pod gets: it could not be made, and that was no error.
    if (hasIpv6) expect(host.sysctl(`net/ipv6/conf/${H}/accept_ra`)).toBe("1");
    expect(withoutIpv6("CHECK", netconf(host, { prevResult: added.json }))).toMatchObject({ exitCode: 0 });
    expect(withoutIpv6("DEL", netconf(host))).toMatchObject({ exitCode: 0 });
    expect(links(host)).not.toContainEqual(expect.stringContaining(H));
  });

  test("refuses IPv6 pods in words, and nothing is left", () => {
    const before = untouched(host);
    const { exitCode, json } = withoutIpv6("ADD", ranging(...SUBNETS));
    expect({ exitCode, json }).toMatchObject({ exitCode: 1, json: { code: 102 } });
    expect(json?.msg).toMatch(/Cannot echo 0 > \/proc\/sys\/net\/ipv6\/\S+: the kernel has no such setting/);
    expect(untouched(host)).toEqual(before);
    expect(held()).toEqual([]);
  });

  test("and a host that has IPv6 switched off wires IPv4 pods", () => {
    using four = new TestHost({ ipv6: false });
    using other = new TestNetns("pod");
    expect(add({ host: four, netns: other, netconf: netconf(four) }).exitCode).toBe(0);
    expect(other.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
    expect(addresses(four).filter((line) => line.includes(":"))).toEqual([]);
  });
});

function call() {
  return { host, netns: pod, netconf: netconf(host), containerId: FIRST };
}

function net1() {
  const ipam = { type: "slash32", ranges: [[{ subnet: "10.30.1.0/24" }]] };
  return { ...call(), ifName: "net1", netconf: netconf(host, { name: "othernet", ipam }) };
}

function ranging(...subnets: readonly string[]) {
  const ranges = subnets.map((subnet) => [{ subnet }]);
  return netconf(host, { ipam: { type: "slash32", ranges } });
}

/** What CHECK has to say about a result of ADD; nothing is good. */
function checked(attachment: ReturnType<typeof call>, prevResult: Answer | undefined): string {
  const { stdout } = check({ ...attachment, netconf: { ...attachment.netconf, prevResult } });
  return stdout;
}

/** Runs a verb where there is nothing in /proc/sys/net/ipv6, as with ipv6.disable=1 on the kernel's command line. */
function withoutIpv6(verb: string, configuration: ReturnType<typeof netconf>) {
  const hide = hasIpv6 ? "mount -t tmpfs none /proc/sys/net/ipv6 && " : "";
  const environment = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: FIRST,
    CNI_NETNS: pod.path,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  const { stdout, exitCode } = execaSync(
    "nsenter",
    [`--net=${host.path}`, "--", "unshare", "--mount", "sh", "-c", `${hide}exec "$0"`, EXECUTABLE],
    {
      env: { PATH: process.env.PATH, ...environment },
      extendEnv: false,
      input: JSON.stringify(configuration),
      reject: false,
    },
  );
  return { exitCode, json: stdout === "" ? undefined : (JSON.parse(stdout) as Answer) };
}

/** Addresses that the store holds for the network, as bytes; none if it has no store. */
function held(): unknown[] {
  try {
    using database = new Database(join(host.stateDir, "podnet", "leases.db"), { readonly: true });
    return database.query("SELECT address FROM address WHERE held_by IS NOT NULL").all();
  } catch (error) {
    if ((error as { code?: string }).code === "SQLITE_CANTOPEN") return [];
    throw error;
  }
}

/** Settings stay: that the host forwards is for good. */
function untouched(netns: TestNetns): string[] {
  return picture(netns).filter((line) => !line.startsWith("net/"));
}
