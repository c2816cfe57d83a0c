// CNI specification, section 2, "CHECK": every difference is found, told, and left as it is.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasIpv6, usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { type Answer, add, check, del, netconf } from "../helpers/plugin.ts";

const DUAL = { ipam: { ranges: usable(["10.20.1.0/24", "fd00:20::/64"]).map((subnet) => [{ subnet }]) } };

/** An attachment of two families, and what the end of its chain told. */
class Attached implements Disposable {
  readonly host = new TestHost();
  readonly sandbox = new TestNetns();
  readonly result: Answer;

  constructor() {
    this.result = succeeded(add({ host: this.host, netns: this.sandbox, netconf: netconf(this.host, DUAL) }));
    // The kernel's link watch readies the host end's link-local address a moment after ADD.
    while (hasIpv6 && this.host.exec("ip", "address", "show", "tentative").stdout !== "")
      this.host.exec("sleep", "0.02");
  }

  get hostEnd(): string {
    return this.result.interfaces?.[0]?.name as string;
  }

  /** CHECK with a result that a later plugin may have changed. */
  check(prevResult: unknown = this.result, keys = {}) {
    const { host, sandbox } = this;
    return check({ host, netns: sandbox, netconf: netconf(host, { ...DUAL, ...keys, prevResult }) });
  }

  /** All that CHECK looks at, to see that it changes nothing. */
  picture(): string {
    const seen = [this.host, this.sandbox].map((netns) => netns.exec("sh", "-c", LOOK).stdout);
    return seen.join("\n").replaceAll(/(valid_lft|preferred_lft|expires) \w+/g, "");
  }

  /** The same, once it holds still: the kernel tells of carriers later (link watch), and routes come and go with them. */
  settled(): string {
    for (let last = this.picture(), tries = 0; tries < 50; tries++) {
      Bun.sleepSync(100);
      const now = this.picture();
      if (now === last) return now;
      last = now;
    }
    throw new Error("the namespaces do not hold still");
  }

  [Symbol.dispose](): void {
    this.sandbox[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** By as few processes as it takes. */
const LOOK = `
ip -details -batch - <<END
link
address
route show table all
neighbour show nud permanent
END
cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/ip_forward
`;

/** As an older version would have told it. */
function renamed(result: Answer, cniVersion: string): object {
  const interfaces = result.interfaces?.map(({ mtu: _, ...end }) => end);
  return { ...result, cniVersion, interfaces };
}

test("CHECK right after ADD passes, and passes again", () => {
  using attached = new Attached();
  for (const _ of [1, 2, 3]) silent(attached.check());
});

describe("CHECK needs prevResult: code 7 when it is", () => {
  test.each([
    ["missing", undefined],
    ["null", null],
    ["text", "x"],
    ["of an unknown version", { cniVersion: "9.9.9" }],
  ])("%s", (_, prevResult) => {
    using attached = new Attached();
    const call = { host: attached.host, netns: attached.sandbox };
    refused(check({ ...call, netconf: netconf(attached.host, { ...DUAL, prevResult }) }), 7);
  });
});

describe("CHECK fails with code 104 and tells what is wrong when", () => {
  type Break = (attached: Attached) => void;
  const inSandbox =
    (...commands: string[]): Break =>
    ({ sandbox }) =>
      sandbox.ipBatch(...commands);
  const onHost =
    (command: string): Break =>
    (attached) =>
      attached.host.ipBatch(command.replaceAll("HOSTEND", attached.hostEnd));
  const set =
    (key: string, value: string): Break =>
    (attached) => {
      attached.host.setSysctl(key.replaceAll("HOSTEND", attached.hostEnd), value);
    };

  const cases: readonly [string, Break, RegExp][] = [
    ["the sandbox end is gone", inSandbox("link delete eth0"), /eth0 is missing/],
    [
      "it was renamed",
      inSandbox("link set eth0 down", "link set eth0 name x0", "link set x0 up"),
      /eth0 is missing/,
    ],
    [
      "another interface took its name",
      inSandbox(
        "link set eth0 down",
        "link set eth0 name x0",
        "link add eth0 type veth peer name y0",
        "link set eth0 up",
      ),
      /not joined|MAC/,
    ],
    ["it is down", inSandbox("link set eth0 down"), /eth0 in the sandbox is down/],
    ["its MAC is another", inSandbox("link set eth0 address 02:00:00:00:00:09"), /MAC 02:00:00:00:00:09/],
    ["its MTU is another", inSandbox("link set eth0 mtu 1400"), /MTU 1400/],
    [
      "its IPv4 address is gone",
      inSandbox("address delete 10.20.1.2/32 dev eth0"),
      /address 10\.20\.1\.2\/32 on eth0 is missing/,
    ],
    [
      "its IPv6 address is gone",
      inSandbox("address delete fd00:20::2/128 dev eth0"),
      /address fd00:20::2\/128 on eth0 is missing/,
    ],
    [
      "its address has another length",
      inSandbox("address delete 10.20.1.2/32 dev eth0", "address add 10.20.1.2/24 dev eth0"),
      /10\.20\.1\.2\/24/,
    ],
    [
      "its default route is gone",
      inSandbox("route delete default"),
      /route default in the sandbox is missing/,
    ],
    [
      "its IPv6 default route is gone",
      inSandbox("route delete ::/0 dev eth0"),
      /route default in the sandbox is missing/,
    ],
    [
      "its route to the gateway is gone",
      inSandbox("route flush default", "route delete 169.254.1.1"),
      /169\.254\.1\.1\/32/,
    ],
    ["the host end's peer is gone with it", onHost("link delete HOSTEND"), /cali[0-9a-f]+ is missing/],
    ["the host end is down", onHost("link set HOSTEND down"), /cali[0-9a-f]+ on the host is down/],
    [
      "the host end's MAC is another",
      onHost("link set HOSTEND address 02:00:00:00:00:09"),
      /should be MAC ee:ee/,
    ],
    ["the host end's MTU is another", onHost("link set HOSTEND mtu 1400"), /MTU 1400/],
    [
      "the host's route is gone",
      onHost("route delete 10.20.1.2/32"),
      /route 10\.20\.1\.2\/32 on the host is missing/,
    ],
    [
      "the host's IPv6 route is gone",
      onHost("route delete fd00:20::2/128"),
      /route fd00:20::2\/128 on the host is missing/,
    ],
    [
      "the host's route leads elsewhere",
      onHost("route replace 10.20.1.2/32 dev uplink0"),
      /route 10\.20\.1\.2\/32 on the host/,
    ],
    [
      "the host's neighbour is gone",
      onHost("neighbour delete 10.20.1.2 dev HOSTEND"),
      /neighbour 10\.20\.1\.2/,
    ],
    ["proxy ARP is off", set("net/ipv4/conf/HOSTEND/proxy_arp", "0"), /proxy_arp/],
    ["forwarding is off on the host end", set("net/ipv4/conf/HOSTEND/forwarding", "0"), /forwarding/],
    ["forwarding is off on the host", set("net/ipv4/ip_forward", "0"), /ip_forward/],
    [
      "IPv6 forwarding is off on the host",
      set("net/ipv6/conf/all/forwarding", "0"),
      /net\/ipv6\/conf\/all\/forwarding/,
    ],
    [
      "the host lost the default route by which proxy ARP answers",
      onHost("route delete default"),
      /gateway 169\.254\.1\.1/,
    ],
    [
      "the lease is lost",
      ({ host }) => rmSync(join(host.stateDir, "podnet"), { recursive: true }),
      /lease of 10\.20\.1\.2/,
    ],
  ];

  test.each(cases.filter(([name]) => usable([name]).length > 0))(
    "%s; it changes nothing",
    (_, breakIt, word) => {
      using attached = new Attached();
      breakIt(attached);
      const before = attached.settled();
      const { msg, details } = refused(attached.check(), 104);
      expect(`${msg}\n${details}`).toMatch(word);
      expect(attached.picture()).toBe(before);
      // It is a finding, not a matter of luck.
      refused(attached.check(), 104);
    },
  );

  test("several things at once: all are told", () => {
    using attached = new Attached();
    attached.sandbox.ipBatch("link set eth0 mtu 1400", "address delete 10.20.1.2/32 dev eth0");
    attached.host.ipBatch("route delete 10.20.1.2/32");
    const { details = "" } = refused(attached.check(), 104);
    for (const word of ["MTU 1400", "address 10.20.1.2/32", "route 10.20.1.2/32"])
      expect(details).toContain(word);
  });
});

describe("the command that a finding names restores it:", () => {
  test.each([
    ["an address", "address delete 10.20.1.2/32 dev eth0"],
    ["an MTU", "link set eth0 mtu 1400"],
    ["a MAC", "link set eth0 address 02:00:00:00:00:09"],
    ["a default route", "route delete default"],
  ])("%s", (_, command) => {
    using attached = new Attached();
    attached.sandbox.ipBatch(command);
    for (const line of (refused(attached.check(), 104).details ?? "").split("\n")) {
      const restore = line.slice(line.indexOf("; ") + 2);
      expect(attached.host.exec("sh", "-c", restore), restore).toMatchObject({ exitCode: 0, stderr: "" });
    }
    silent(attached.check());
  });
});

describe("what later plugins of the chain did is told in prevResult, and fine", () => {
  test("they changed MAC and MTU, and the host's neighbour with the MAC", () => {
    using attached = new Attached();
    attached.sandbox.ipBatch("link set eth0 address 02:00:00:00:00:09", "link set eth0 mtu 1400");
    const changed = attached.result.interfaces?.map((end) =>
      end.name === "eth0" ? { ...end, mac: "02:00:00:00:00:09", mtu: 1400 } : end,
    );
    attached.host.ipBatch(
      ...usable(["10.20.1.2", "fd00:20::2"]).map(
        (pod) => `neighbour replace ${pod} lladdr 02:00:00:00:00:09 dev ${attached.hostEnd} nud permanent`,
      ),
    );
    silent(attached.check({ ...attached.result, interfaces: changed }));
    refused(attached.check(), 104);
  });

  test.each(["0.4.0", "1.0.0"])("they changed the MTU in %s, whose results cannot tell it", (cniVersion) => {
    using attached = new Attached();
    attached.sandbox.ipBatch("link set eth0 mtu 1400");
    const told = renamed(attached.result, cniVersion);
    silent(attached.check(told, { cniVersion }));
    attached.host.ipBatch(`link set ${attached.hostEnd} mtu 1400`);
    refused(attached.check(told, { cniVersion }), 104);
  });

  test("they added interfaces, addresses and routes, before and after ours", () => {
    using attached = new Attached();
    attached.sandbox.ipBatch(
      "link add extra0 type veth peer name extra1",
      "address add 10.99.0.7/16 dev eth0",
      "route add 10.98.0.0/16 via 169.254.1.1 dev eth0",
    );
    const { interfaces = [], ips = [], routes = [] } = attached.result;
    const result = {
      ...attached.result,
      interfaces: [
        { name: "ifb0", mac: "02:00:00:00:00:01" },
        ...interfaces,
        { name: "extra0", sandbox: attached.sandbox.path },
      ],
      ips: [
        { address: "10.97.0.7/16", interface: 3 },
        ...ips.map((ip) => ({ ...ip, interface: 2 })),
        { address: "10.99.0.7/16" },
      ],
      routes: [...routes, { dst: "10.98.0.0/16", gw: "169.254.1.1" }],
    };
    silent(attached.check(result));
  });

  test("they wrote the MAC in capitals", () => {
    using attached = new Attached();
    const interfaces = attached.result.interfaces?.map((end) => ({ ...end, mac: end.mac?.toUpperCase() }));
    silent(attached.check({ ...attached.result, interfaces }));
  });

  test("the MTU that the host's way out has by now is another: what ADD chose still holds", () => {
    using attached = new Attached();
    attached.host.ipBatch("link set uplink0 mtu 1400");
    silent(attached.check());
  });
});

describe("a prevResult that does not tell of this attachment is code 104:", () => {
  test("its interface is missing", () => {
    using attached = new Attached();
    expect(refused(attached.check({ ...attached.result, interfaces: [] }), 104).details).toContain(
      "interface eth0",
    );
  });

  test("its interface has another sandbox", () => {
    using attached = new Attached();
    const interfaces = attached.result.interfaces?.map((end) =>
      end.sandbox ? { ...end, sandbox: "/run/netns/x" } : end,
    );
    refused(attached.check({ ...attached.result, interfaces }), 104);
  });

  test("its addresses are missing, or another's", () => {
    using attached = new Attached();
    expect(refused(attached.check({ ...attached.result, ips: [] }), 104).details).toContain("10.20.1.2");
    const ips = [{ address: "10.20.1.77/32", interface: 1 }];
    refused(attached.check({ ...attached.result, ips }), 104);
  });
});

test("CHECK of what was never added, and of what was deleted, fails, and makes nothing", () => {
  using attached = new Attached();
  const { host, sandbox, result } = attached;
  const call = { host, netns: sandbox, netconf: netconf(host, { ...DUAL, prevResult: result }) };
  refused(check({ ...call, containerId: "stranger" }), 104);
  silent(del(call));
  refused(check(call), 104);
  expect(remains(host)).toMatchObject({ links: [], attachments: [], leases: 0 });
});

test("CHECK of a network that has no store leaves none behind", () => {
  using attached = new Attached();
  const { host, sandbox, result } = attached;
  const stateDir = join(host.stateDir, "other");
  refused(
    check({ host, netns: sandbox, netconf: netconf(host, { ...DUAL, stateDir, prevResult: result }) }),
    104,
  );
  expect(host.exec("ls", stateDir).exitCode).not.toBe(0);
});
