// Three ways to one namespace: typed by hand as the model's description has it, printed by slash32 and pasted, or ADD.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostEndAlias, hostEndName, sandboxMac } from "../../src/datapath/endpoint.ts";
import { commandOf } from "../../src/datapath/step.ts";
import { wiring } from "../../src/datapath/wiring.ts";
import { testEndpoint } from "../helpers/endpoint.ts";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { difference, picture, settle } from "../helpers/picture.ts";
import { add, netconf } from "../helpers/plugin.ts";

const CONTAINER = "container-1";
const attachment = { network: "podnet", containerId: CONTAINER, ifName: "eth0" };
const HOST_END = hostEndName("cali", attachment);
const MAC = sandboxMac(attachment);
const WORLD = "198.51.100.1";

const GATEWAY_FOUR = "neighbour 169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT";
const GATEWAY_SIX = "neighbour fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT";

/** A veth, an address for itself alone, a gateway that nobody owns, a route back, and proxy ARP. */
const WALK_THROUGH = `
  ip link add veth0 type veth peer name eth0
  ip link set eth0 netns $SANDBOX

  ip netns exec $SANDBOX ip address add 10.20.1.2/32 dev eth0
  ip netns exec $SANDBOX ip link set eth0 up
  ip netns exec $SANDBOX ip route add 169.254.1.1 dev eth0 scope link
  ip netns exec $SANDBOX ip route add default via 169.254.1.1 dev eth0

  ip link set veth0 up
  ip route add 10.20.1.2 dev veth0 scope link

  echo 1 > /proc/sys/net/ipv4/conf/veth0/proxy_arp
  # What a router has set already.
  echo 1 > /proc/sys/net/ipv4/ip_forward
`;

describe("the walk-through typed by hand and ADD", () => {
  const resources = new DisposableStack();
  const hosts: { hand: TestHost; plugin: TestHost } = {} as never;
  const pods: { hand: TestNetns; plugin: TestNetns } = {} as never;

  beforeAll(() => {
    for (const way of ["hand", "plugin"] as const) {
      hosts[way] = resources.use(new TestHost());
      pods[way] = resources.use(new TestNetns("pod"));
      // IPv6 would add addresses of the kernel's own to both.
      for (const netns of hasIpv6 ? [hosts[way], pods[way]] : [])
        netns.setSysctl("net/ipv6/conf/default/disable_ipv6", 1);
    }
    paste(hosts.hand, WALK_THROUGH.replaceAll("$SANDBOX", pods.hand.name).replaceAll("veth0", HOST_END));
    const answer = add({
      host: hosts.plugin,
      netns: pods.plugin,
      netconf: netconf(hosts.plugin),
      containerId: CONTAINER,
    });
    expect(answer.json?.ips).toEqual([{ address: "10.20.1.2/32", interface: 1 }]);
  });
  afterAll(() => resources.dispose());

  test("both let the pod out, by a gateway that was asked for", () => {
    for (const pod of Object.values(pods)) {
      expect(pod.ping(WORLD)).toEqual({ received: 1, ttl: 63 });
      expect(pod.exec("ip", "neigh").stdout).toMatch(/^169\.254\.1\.1 dev eth0 lladdr \S+ REACHABLE *$/m);
    }
  });

  test("leave the same sandbox, but for lo, a MAC that can be named, and forwarding off for sure", () => {
    const [hand, plugin] = [pods.hand, pods.plugin].map(normalised);
    expect(difference(hand as string[], plugin as string[])).toEqual({
      gone: ["link eth0 up mtu 1500 mac RANDOM", "link lo down mtu 65536 mac 00:00:00:00:00:00"],
      came: usable([
        "address lo 127.0.0.1/8 host",
        "address lo ::1/128 host",
        `link eth0 up mtu 1500 mac ${MAC}`,
        "link lo up mtu 65536 mac 00:00:00:00:00:00",
        // What lo that is up brings with it.
        "route broadcast 127.255.255.255 dev lo table local proto kernel scope link",
        "route local 127.0.0.0/8 dev lo table local proto kernel scope host",
        "route local 127.0.0.1 dev lo table local proto kernel scope host",
        "route local ::1 dev lo table local proto kernel scope global metric 0",
      ]),
    });
  });

  test("leave the same host, but for an exact list of what slash32 adds", () => {
    const [hand, plugin] = [hosts.hand, hosts.plugin].map(normalised);
    expect(difference(hand as string[], plugin as string[])).toEqual({
      gone: usable([
        `link ${HOST_END} up mtu 1500 mac RANDOM`,
        `net/ipv4/conf/${HOST_END}/route_localnet = 0`,
        `net/ipv4/neigh/${HOST_END}/proxy_delay = 80`,
        `net/ipv6/conf/${HOST_END}/accept_ra = 1`,
        `route 10.20.1.2 dev ${HOST_END} table main proto boot scope link`,
      ]),
      came: usable([
        // Its MAC, so that every sandbox sees the same gateway, and whose it is.
        `link ${HOST_END} up mtu 1500 mac ee:ee:ee:ee:ee:ee "slash32 podnet/container-1/eth0"`,
        // No question towards the sandbox.
        `neighbour 10.20.1.2 dev ${HOST_END} lladdr ${MAC} PERMANENT`,
        // Node ports by 127.0.0.1, no wait before proxy ARP answers, no router but the host.
        `net/ipv4/conf/${HOST_END}/route_localnet = 1`,
        `net/ipv4/neigh/${HOST_END}/proxy_delay = 0`,
        `net/ipv6/conf/${HOST_END}/accept_ra = 0`,
        // The mark by which all of ours are listed.
        `route 10.20.1.2 dev ${HOST_END} table main proto 32 scope link`,
      ]),
    });
  });
});

const ROWS = [
  { name: "IPv4", subnets: ["10.20.1.0/24"], addresses: ["10.20.1.2"] },
  { name: "IPv6", subnets: ["fd00:20::/64"], addresses: ["fd00:20::2"] },
  { name: "dual stack", subnets: ["10.20.1.0/24", "fd00:20::/64"], addresses: ["10.20.1.2", "fd00:20::2"] },
].filter(({ subnets }) => usable(subnets).length === subnets.length);

describe.each(ROWS)("the printed commands, pasted into a root shell ($name)", ({ subnets, addresses }) => {
  const alias = hostEndAlias(attachment, undefined);

  test.each([
    { gatewayNeighbour: "permanent", defaultRoute: true, more: [] },
    // The IPv6 gateway answers without a default route, being the host end's own.
    { gatewayNeighbour: "auto", defaultRoute: false, more: [GATEWAY_SIX] },
    {
      gatewayNeighbour: "auto",
      defaultRoute: true,
      // Right on any host; ADD asks the FIB first and finds that it is not needed.
      more: [GATEWAY_FOUR, GATEWAY_SIX],
    },
  ] as const)(
    "leave what ADD leaves, gatewayNeighbour $gatewayNeighbour, default route: $defaultRoute",
    (row) => {
      const { gatewayNeighbour, defaultRoute, more } = row;
      using byHand = new TestHost({ defaultRoute });
      using byPlugin = new TestHost({ defaultRoute });
      using pasted = new TestNetns("pod");
      using added = new TestNetns("pod");

      const endpoint = testEndpoint({ addresses, gatewayNeighbour, alias });
      paste(
        byHand,
        wiring(endpoint)
          .map((step) => commandOf(step, pasted.path))
          .join("\n"),
      );
      const ranges = subnets.map((subnet) => [{ subnet }]);
      const configuration = netconf(byPlugin, { gatewayNeighbour, ipam: { type: "slash32", ranges } });
      const { exitCode } = add({
        host: byPlugin,
        netns: added,
        netconf: configuration,
        containerId: CONTAINER,
      });

      expect(exitCode).toBe(0);
      // The kernel's own addresses come in the kernel's own time.
      for (const netns of [byHand, byPlugin, pasted, added]) settle(netns);
      const isWanted = (line: string) =>
        addresses.some((own) => own.includes(":") === line.includes("fe80::"));
      expect(difference(normalised(added), normalised(pasted))).toEqual({
        gone: [],
        came: more.filter(isWanted),
      });
      expect(difference(normalised(byPlugin), normalised(byHand))).toEqual({ gone: [], came: [] });
      for (const address of addresses) expect(byHand.ping(address).received).toBe(1);
    },
  );
});

/** Runs commands as a person would: a root shell on the host, which stops at the first that fails. */
function paste(host: TestNetns, commands: string): void {
  const { stderr, exitCode } = host.exec("sh", "-euc", commands);
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
}

/** Without the MACs that the kernel chose by itself, and the addresses made from them. */
function normalised(netns: TestNetns): string[] {
  const ours = [MAC, "ee:ee:ee:ee:ee:ee", "00:00:00:00:00:00"];
  return picture(netns)
    .map((line) => line.replace(/(?<=mac )\S+/, (mac) => (ours.includes(mac) ? mac : "RANDOM")))
    .map((line) => (line.includes("uplink0") ? line.replace(/fe80::[^/ ]+/, "fe80::RANDOM") : line))
    .sort();
}
