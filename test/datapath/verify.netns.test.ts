// CHECK's reader: every breach is seen, nothing else is, and the printed command mends it.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { mend } from "../../src/datapath/mend.ts";
import { setLink } from "../../src/datapath/rtnetlink/link.ts";
import type { Step } from "../../src/datapath/step.ts";
import { type Difference, verify } from "../../src/datapath/verify.ts";
import { OpenSides, testEndpoint, wire } from "../helpers/endpoint.ts";
import { usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { difference, picture, settle } from "../helpers/picture.ts";

const endpoint = testEndpoint({ addresses: usable(["10.20.1.2", "fd00:20::2"]) });
const { hostEnd: H, sandboxMac: MAC } = endpoint;
const ON_HOST = "on the host";
const INSIDE = "in the sandbox";

let resources: DisposableStack;
let host: TestHost;
let pod: TestNetns;
let steps: Step[];

beforeEach(() => {
  resources = new DisposableStack();
  host = resources.use(new TestHost());
  pod = resources.use(new TestNetns("pod"));
  steps = wire(host, pod, endpoint);
});
afterEach(() => resources.dispose());

describe("a complete wiring", () => {
  test("has no differences, before and after packets", () => {
    expect(differences()).toEqual([]);
    for (const address of usable(["198.51.100.1", "2001:db8:ffff::1"])) pod.ping(address);
    for (const address of usable(["10.20.1.2", "fd00:20::2"])) expect(host.ping(address).received).toBe(1);
    expect(differences()).toEqual([]);
  });

  test.each(["auto", "proxy-arp", "permanent"] as const)(
    "has none with gatewayNeighbour %s",
    (gatewayNeighbour) => {
      using other = new TestNetns("pod");
      const second = testEndpoint({ containerId: "container-2", addresses: ["10.20.1.9"], gatewayNeighbour });
      const wired = wire(host, other, second);
      using sides = new OpenSides(host, other);
      expect(verify(wired, sides)).toEqual([]);
    },
  );

  test("is not changed by looking at it, nor is a broken one", () => {
    const before = [picture(host), picture(pod)];
    differences();
    expect([picture(host), picture(pod)]).toEqual(before);
    host.ip("link", "set", H, "down");
    const broken = [picture(host), picture(pod)];
    expect(broken).not.toEqual(before);
    differences();
    expect([picture(host), picture(pod)]).toEqual(broken);
  });
});

describe("a rule that has another table decide", () => {
  const rules: [string, string][] = [
    ["for all packets", "from all lookup 100 pref 100"],
    ["for what the host itself sends", "from all iif lo lookup 100 pref 100"],
  ];

  test.each(rules)("%s: the pod's route is there, and not called missing", (_, rule) => {
    host.ipBatch("route add 10.20.0.0/16 via 192.0.2.254 dev uplink0 table 100", `rule add ${rule}`);
    expect(differences()).toEqual([]);
    host.ip("route", "delete", "10.20.1.2", "proto", "32");
    expect(differences().map(described)).toEqual([
      `route 10.20.1.2/32 ${ON_HOST}: missing -> dev ${H} proto 32`,
    ]);
  });
});

const NEIGHBOURS = ["10.20.1.2", "fd00:20::2"].map(
  (address) => `neighbour ${address} on ${H} ${ON_HOST}: missing -> ${MAC} permanent`,
);
const WAYS_OUT = [
  `route 169.254.1.1/32 ${INSIDE}: missing -> dev eth0`,
  `route default ${INSIDE}: missing -> via 169.254.1.1 dev eth0`,
];
const MUTE_SIX =
  `gateway fe80::ecee:eeff:feee:eeee: mute: ${H} does not have fe80::ecee:eeff:feee:eeee -> ` +
  "answered by the host, or a pinned neighbour";
const PINNED_SIX = "neighbour fe80::ecee:eeff:feee:eeee dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT";
const PINNED_GATEWAY = "neighbour 169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee PERMANENT";

type Breach = {
  name: string;
  /** Commands of a root shell; those of the sandbox are prefixed "pod:". */
  commands: string[];
  /** "subject: is -> should" */
  seen: string[];
  /** What is other than before once the printed commands were typed; nothing by default. */
  after?: { gone: string[]; came: string[] };
};

const HOST_SETTINGS: [key: string, wrong: string][] = [
  [`net/ipv4/conf/${H}/proxy_arp`, "0"],
  [`net/ipv4/neigh/${H}/proxy_delay`, "80"],
  [`net/ipv4/conf/${H}/route_localnet`, "0"],
  [`net/ipv6/conf/${H}/addr_gen_mode`, "1"],
  [`net/ipv6/conf/${H}/accept_dad`, "1"],
  [`net/ipv6/conf/${H}/proxy_ndp`, "0"],
  [`net/ipv6/conf/${H}/forwarding`, "0"],
  [`net/ipv6/conf/${H}/accept_ra`, "2"],
];

const BREACHES: Breach[] = [
  {
    name: "the host end's MAC changed",
    commands: [`ip link set ${H} address 02:00:00:00:00:01`],
    // The kernel forgets neighbours with it.
    seen: [`host end ${H}: MAC 02:00:00:00:00:01 -> MAC ee:ee:ee:ee:ee:ee`, ...NEIGHBOURS],
  },
  {
    name: "the host end's MTU changed",
    commands: [`ip link set ${H} mtu 1400`],
    seen: [`host end ${H}: MTU 1400 -> MTU 1500`],
  },
  {
    name: "the sandbox end's MTU changed",
    commands: ["pod: ip link set eth0 mtu 1300"],
    seen: ["sandbox end eth0: MTU 1300 -> MTU 1500"],
  },
  {
    name: "the sandbox end's MAC changed",
    commands: ["pod: ip link set eth0 address 02:00:00:00:00:02"],
    seen: [`sandbox end eth0: MAC 02:00:00:00:00:02 -> MAC ${MAC}`],
  },
  {
    name: "the host end down, which takes its routes and pinned neighbours",
    commands: [`ip link set ${H} down`],
    seen: [
      `interface ${H} ${ON_HOST}: down -> up`,
      `route 10.20.1.2/32 ${ON_HOST}: missing -> dev ${H} proto 32`,
      NEIGHBOURS[0] as string,
      `route fd00:20::2/128 ${ON_HOST}: missing -> dev ${H} proto 32`,
      NEIGHBOURS[1] as string,
      MUTE_SIX,
    ],
    // The gateway came back with the rest; pinned it is right all the same.
    after: { gone: [], came: [PINNED_SIX] },
  },
  {
    name: "the host end without the IPv6 gateway's address",
    commands: [`ip address delete fe80::ecee:eeff:feee:eeee/64 dev ${H}`],
    seen: [MUTE_SIX],
    after: {
      gone: [
        `address ${H} fe80::ecee:eeff:feee:eeee/64 link`,
        `route anycast fe80:: dev ${H} table local proto kernel scope global metric 0`,
        `route fe80::/64 dev ${H} table main proto kernel scope global metric 256`,
        `route local fe80::ecee:eeff:feee:eeee dev ${H} table local proto kernel scope global metric 0`,
      ],
      came: [PINNED_SIX],
    },
  },
  ...["blackhole", "unreachable", "prohibit"].flatMap((type): Breach[] => [
    {
      name: `a route that discards (${type}) in the place of the host's`,
      commands: [`ip route replace ${type} 10.20.1.2`],
      seen: [`route 10.20.1.2/32 ${ON_HOST}: ${type} proto 3 -> dev ${H} proto 32`],
    },
    {
      name: `the same in IPv6 (${type})`,
      commands: ["ip route delete fd00:20::2", `ip route add ${type} fd00:20::2`],
      seen: [`route fd00:20::2/128 ${ON_HOST}: ${type} proto 3 -> dev ${H} proto 32`],
    },
  ]),
  {
    name: "a default route of the sandbox that discards",
    commands: ["pod: ip route replace blackhole default"],
    seen: [`route default ${INSIDE}: blackhole -> via 169.254.1.1 dev eth0`],
  },
  {
    name: "lo of the sandbox down",
    commands: ["pod: ip link set lo down"],
    seen: [`interface lo ${INSIDE}: down -> up`],
  },
  {
    name: "the sandbox end down and up again, which takes its routes",
    commands: ["pod: ip link set eth0 down", "pod: ip link set eth0 up"],
    seen: [
      `address fd00:20::2/128 on eth0: missing -> present`,
      `route 169.254.1.1/32 ${INSIDE}: missing -> dev eth0`,
      `route default ${INSIDE}: missing -> via 169.254.1.1 dev eth0`,
      `route default ${INSIDE}: missing -> via fe80::ecee:eeff:feee:eeee dev eth0`,
    ],
  },
  ...[
    { address: "10.20.1.2", length: 32, family: "-4" },
    { address: "fd00:20::2", length: 128, family: "-6" },
  ].flatMap(({ address, length, family }): Breach[] => [
    {
      name: `the host's route to ${address} removed`,
      commands: [`ip route delete ${address}`],
      seen: [`route ${address}/${length} ${ON_HOST}: missing -> dev ${H} proto 32`],
    },
    {
      name: `the host's route to ${address} replaced by one through another interface`,
      commands: [`ip route delete ${address}`, `ip route add ${address} dev uplink0`],
      seen: [`route ${address}/${length} ${ON_HOST}: dev uplink0 proto 3 -> dev ${H} proto 32`],
    },
    {
      name: `the host's route to ${address} no longer marked as ours`,
      commands: [`ip route replace ${address} dev ${H} ${family === "-4" ? "scope link" : ""} proto static`],
      seen: [`route ${address}/${length} ${ON_HOST}: dev ${H} proto 4 -> dev ${H} proto 32`],
    },
    {
      name: `the pinned neighbour of ${address} removed`,
      commands: [`ip neigh delete ${address} dev ${H}`],
      seen: [`neighbour ${address} on ${H} ${ON_HOST}: missing -> ${MAC} permanent`],
    },
    {
      name: `the pinned neighbour of ${address} with another MAC`,
      commands: [`ip neigh replace ${address} dev ${H} lladdr 02:00:00:00:00:03 nud permanent`],
      seen: [`neighbour ${address} on ${H} ${ON_HOST}: 02:00:00:00:00:03 -> ${MAC} permanent`],
    },
    {
      name: `the neighbour of ${address} no longer pinned`,
      commands: [`ip neigh replace ${address} dev ${H} lladdr ${MAC} nud reachable`],
      seen: [`neighbour ${address} on ${H} ${ON_HOST}: ${MAC}, not permanent -> ${MAC} permanent`],
    },
    {
      name: `the default route of the sandbox removed (IPv${family.slice(1)})`,
      commands: [`pod: ip ${family} route delete default`],
      seen: [
        `route default ${INSIDE}: missing -> via ${family === "-4" ? "169.254.1.1" : "fe80::ecee:eeff:feee:eeee"} dev eth0`,
      ],
    },
  ]),
  {
    name: "the address removed",
    commands: ["pod: ip address delete 10.20.1.2/32 dev eth0"],
    // The kernel takes all IPv4 routes of an interface with its last address.
    seen: ["address 10.20.1.2/32 on eth0: missing -> present", ...WAYS_OUT],
  },
  {
    name: "the address with /24 instead",
    commands: ["pod: ip address delete 10.20.1.2/32 dev eth0", "pod: ip address add 10.20.1.2/24 dev eth0"],
    seen: ["address 10.20.1.2/32 on eth0: 10.20.1.2/24 -> 10.20.1.2/32", ...WAYS_OUT],
  },
  {
    name: "the address with /24 instead, the routes mended",
    commands: ["pod: ip address add 10.20.1.2/24 dev eth0", "pod: ip address delete 10.20.1.2/32 dev eth0"],
    seen: ["address 10.20.1.2/32 on eth0: 10.20.1.2/24 -> 10.20.1.2/32"],
  },
  {
    name: "the IPv6 address removed",
    commands: ["pod: ip address delete fd00:20::2/128 dev eth0"],
    seen: ["address fd00:20::2/128 on eth0: missing -> present"],
  },
  {
    name: "the IPv6 address with /64 instead",
    commands: [
      "pod: ip address delete fd00:20::2/128 dev eth0",
      "pod: ip address add fd00:20::2/64 dev eth0 nodad",
    ],
    seen: ["address fd00:20::2/128 on eth0: fd00:20::2/64 -> fd00:20::2/128"],
  },
  {
    name: "the IPv6 address in duplicate-address detection",
    commands: [
      "pod: echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad",
      "pod: ip address delete fd00:20::2/128 dev eth0",
      "pod: ip address add fd00:20::2/128 dev eth0",
    ],
    seen: [
      `setting net/ipv6/conf/eth0/accept_dad ${INSIDE}: 1 -> 0`,
      "address fd00:20::2/128 on eth0: tentative -> usable",
    ],
  },
  {
    name: "the way to the gateway removed",
    commands: ["pod: ip route delete default", "pod: ip route delete 169.254.1.1"],
    seen: WAYS_OUT,
  },
  {
    name: "the host's default route removed, which makes the gateway mute",
    commands: ["ip route delete default"],
    seen: [
      "gateway 169.254.1.1: mute: the host has no route to 169.254.1.1 (Network is unreachable) -> answered by the host, or a pinned neighbour",
    ],
    after: {
      gone: ["route default via 192.0.2.254 dev uplink0 table main proto boot scope global"],
      came: [PINNED_GATEWAY],
    },
  },
  ...HOST_SETTINGS.map(
    ([key, wrong]): Breach => ({
      name: `${key} is ${wrong}`,
      commands: [`echo ${wrong} > /proc/sys/${key}`],
      seen: [`setting ${key} ${ON_HOST}: ${wrong} -> ${wrong === "0" ? 1 : 0}`],
    }),
  ),
  {
    name: "forwarding off on the host end, which makes the gateway mute",
    commands: [`echo 0 > /proc/sys/net/ipv4/conf/${H}/forwarding`],
    seen: [
      `setting net/ipv4/conf/${H}/forwarding ${ON_HOST}: 0 -> 1`,
      "gateway 169.254.1.1: mute: the host has no route to 169.254.1.1 (No route to host) -> answered by the host, or a pinned neighbour",
    ],
    after: { gone: [], came: [PINNED_GATEWAY] },
  },
  {
    name: "forwarding off on the whole host",
    commands: ["echo 0 > /proc/sys/net/ipv4/ip_forward"],
    seen: [
      `setting net/ipv4/conf/${H}/forwarding ${ON_HOST}: 0 -> 1`,
      `setting net/ipv4/ip_forward ${ON_HOST}: 0 -> 1`,
      "gateway 169.254.1.1: mute: the host has no route to 169.254.1.1 (No route to host) -> answered by the host, or a pinned neighbour",
    ],
    after: { gone: [], came: [PINNED_GATEWAY] },
  },
  {
    name: "the sandbox's default route with an MTU of its own",
    commands: ["pod: ip route change default via 169.254.1.1 dev eth0 mtu 1280"],
    seen: [`route default ${INSIDE}: mtu 1280 -> without mtu`],
  },
  {
    name: "IPv6 forwarding off on the whole host",
    commands: ["echo 0 > /proc/sys/net/ipv6/conf/all/forwarding"],
    seen: [
      `setting net/ipv6/conf/${H}/forwarding ${ON_HOST}: 0 -> 1`,
      `setting net/ipv6/conf/all/forwarding ${ON_HOST}: 0 -> 1`,
    ],
  },
  {
    name: "forwarding on in the sandbox",
    commands: [
      "pod: echo 1 > /proc/sys/net/ipv4/ip_forward",
      "pod: echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    ],
    seen: [
      `setting net/ipv4/ip_forward ${INSIDE}: 1 -> 0`,
      `setting net/ipv6/conf/all/forwarding ${INSIDE}: 1 -> 0`,
    ],
  },
  {
    name: "duplicate-address detection on in the sandbox",
    commands: ["pod: echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad"],
    seen: [`setting net/ipv6/conf/eth0/accept_dad ${INSIDE}: 1 -> 0`],
  },
  {
    name: "IPv6 off on lo of the sandbox",
    commands: ["pod: echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6"],
    seen: [`setting net/ipv6/conf/lo/disable_ipv6 ${INSIDE}: 1 -> 0`],
  },
  {
    name: "IPv6 off on the host end, which takes the gateway and the host's route",
    commands: [`echo 1 > /proc/sys/net/ipv6/conf/${H}/disable_ipv6`],
    seen: [
      `setting net/ipv6/conf/${H}/disable_ipv6 ${ON_HOST}: 1 -> 0`,
      `route fd00:20::2/128 ${ON_HOST}: missing -> dev ${H} proto 32`,
      NEIGHBOURS[1] as string,
      MUTE_SIX,
    ],
    // The gateway came back with the rest; pinned it is right all the same.
    after: { gone: [], came: [PINNED_SIX] },
  },
  {
    name: "IPv6 off in the sandbox, which takes address and default route",
    commands: ["pod: echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"],
    seen: [
      `setting net/ipv6/conf/all/disable_ipv6 ${INSIDE}: 1 -> 0`,
      `setting net/ipv6/conf/lo/disable_ipv6 ${INSIDE}: 1 -> 0`,
      `setting net/ipv6/conf/eth0/disable_ipv6 ${INSIDE}: 1 -> 0`,
      "address fd00:20::2/128 on eth0: missing -> present",
      `route default ${INSIDE}: missing -> via fe80::ecee:eeff:feee:eeee dev eth0`,
    ],
  },
];

/** What this kernel can break and show. */
const POSSIBLE = BREACHES.filter(({ commands }) => usable(commands).length === commands.length);

describe("a breach is seen, and only it, and the printed commands mend it", () => {
  test.each(POSSIBLE)("$name", ({ commands, seen, after = { gone: [], came: [] } }) => {
    const before = [...picture(host), ...picture(pod)];
    for (const command of commands) run(command);
    const found = differences();
    expect(found.map(described)).toEqual(usable(seen));

    for (const { restore } of found) run(restore);
    expect(differences()).toEqual([]);
    expect(difference(before, [...picture(host), ...picture(pod)])).toEqual({
      gone: usable(after.gone),
      came: usable(after.came),
    });
  });

  test.each(POSSIBLE)("$name: and so does mend()", ({ commands }) => {
    const before = [...picture(host), ...picture(pod)];
    for (const command of commands) run(command);
    using sides = new OpenSides(host, pod);
    const attempts = mend(verify(steps, sides), sides);
    expect(attempts.filter(({ refusal }) => refusal !== undefined)).toEqual([]);
    expect(verify(steps, sides)).toEqual([]);
    settle(host);
    // What the gateway lacks is not made: it is pinned.
    const { gone, came } = difference(before, [...picture(host), ...picture(pod)]);
    expect(gone.filter((line) => !/fe80|default via 192/.test(line))).toEqual([]);
    expect(came.filter((line) => line !== PINNED_SIX && line !== PINNED_GATEWAY)).toEqual([]);
  });
});

describe("what no command mends, or not each on its own", () => {
  test("an address that the host has itself: a person has to see to it, and mend() leaves it", () => {
    run("ip address add 10.20.1.2/32 dev uplink0");
    const [found, ...others] = differences();
    // The kernel takes no packet from outside that bears its own address: not even the question for the gateway.
    expect(others.map(({ subject }) => subject)).toEqual(["gateway 169.254.1.1"]);
    expect(described(found as Difference)).toBe(
      `route 10.20.1.2/32 ${ON_HOST}: the host's own address -> dev ${H} proto 32`,
    );
    const before = picture(host);
    using sides = new OpenSides(host, pod);
    expect(mend([found as Difference], sides)).toMatchObject([
      { refusal: "take 10.20.1.2 from the host's interface, or delete the pod" },
    ]);
    expect(picture(host)).toEqual(before);
  });

  test("what the kernel refuses is told, and the rest is mended", () => {
    run("pod: ip link set eth0 mtu 1300");
    run(`ip link set ${H} mtu 1300`);
    const [first, second] = differences() as [Difference, Difference];
    const impossible = {
      on: "host",
      requests: [setLink({ name: "eth9", index: 999 }, { mtu: 1500 })],
    } as const;
    using sides = new OpenSides(host, pod);
    expect(mend([{ ...first, remedy: impossible }, second], sides)).toMatchObject([
      { refusal: "Cannot ip link set eth9 mtu 1500: No such device" },
      { difference: { subject: "sandbox end eth0" } },
    ]);
    expect(differences().map(({ subject }) => subject)).toEqual([`host end ${H}`]);
  });

  test("the sandbox end under another name: its cable is missed, and has to be made anew", () => {
    run("pod: ip link set eth0 down");
    run("pod: ip link set eth0 name eth9");
    const [first, ...others] = differences();
    expect(described(first as Difference)).toBe(`sandbox end eth0: missing -> MAC ${MAC}, MTU 1500`);
    expect(others.map(({ subject }) => subject)).toContain(`interface eth0 ${INSIDE}`);
    expect(host.exec("sh", "-c", first?.restore ?? "").stderr).toContain("File exists");
  });

  test("the host end gone, and all with it: the commands in their order make it anew", () => {
    const before = [...picture(host), ...picture(pod)];
    run(`ip link delete ${H}`);
    const found = differences();
    expect(found.slice(0, 2).map(described)).toEqual([
      `host end ${H}: missing -> MAC ee:ee:ee:ee:ee:ee, MTU 1500`,
      `sandbox end eth0: missing -> MAC ${MAC}, MTU 1500`,
    ]);
    // The second end came with the first.
    for (const { restore } of found.filter((_, at) => at !== 1)) run(restore);
    expect(differences()).toEqual([]);
    expect(difference(before, [...picture(host), ...picture(pod)])).toEqual({ gone: [], came: [] });
  });

  test("another cable under the same names is told from ours", () => {
    run(`ip link delete ${H}`);
    run(`ip link add ${H} address ee:ee:ee:ee:ee:ee index 77 type veth peer name stray`);
    run(`pod: ip link add eth0 address ${MAC} type veth peer name stray`);
    expect(differences().map(described)).toContain(`cable ${H}: not joined to eth0 -> its other end`);
  });
});

describe("a default route of another interface", () => {
  beforeEach(() => {
    run("pod: ip link add net9 type veth peer name net8");
    run("pod: ip link set net9 up");
    run("pod: ip route delete default");
    run("pod: ip route add default dev net9");
  });

  test("may stand in for ours", () => {
    expect(differences()).toEqual([]);
  });

  test("may not where ADD claimed ours, as CHECK has it; the command puts ours in its place", () => {
    steps = steps.map((step) => (step.kind === "route" ? { ...step, ifAbsent: false } : step));
    const [found, ...others] = differences();
    expect(others).toEqual([]);
    expect(described(found as Difference)).toBe(
      `route default ${INSIDE}: dev net9 -> via 169.254.1.1 dev eth0`,
    );
    run(found?.restore ?? "");
    expect(differences()).toEqual([]);
  });
});

/** Runs a command on the host, or behind "pod: " in the sandbox. */
function run(command: string): void {
  const [netns, text] = command.startsWith("pod: ") ? [pod, command.slice(5)] : [host, command];
  const { stderr, exitCode } = netns.exec("sh", "-c", text);
  expect({ command, stderr, exitCode }).toEqual({ command, stderr: "", exitCode: 0 });
}

function differences(): Difference[] {
  using sides = new OpenSides(host, pod);
  return verify(steps, sides);
}

function described({ subject, is, should }: Difference): string {
  return `${subject}: ${is} -> ${should}`;
}
