// `slash32 trace --probe`: one packet, and where it was seen.
import { once } from "node:events";
import { execa } from "execa";
import { describe, expect, test } from "vitest";
import { Capture } from "../../src/cli/trace/probe/capture.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import { connect, TestNetns } from "../helpers/lab.ts";
import { TraceBench } from "../helpers/trace.ts";

const WORLD = "198.51.100.1";

/** A station of the probe: "host cali… in echo request". */
function seen(bench: TraceBench, ...args: string[]): string[] {
  const { probe } = bench.trace("--probe", ...args);
  return (probe?.sightings ?? [])
    .filter(({ isSeen, kind }) => isSeen && kind !== "arp")
    .map(({ place, interface: dev, direction, packet }) => `${place}: ${packet} ${direction} by ${dev}`);
}

describe("a probe that is answered", () => {
  test.each([
    ["10.20.1.2", "10.20.1.3"],
    ["fd00:20::2", "fd00:20::3"],
  ])("%s → %s is seen on every interface of the way, there and back", (from, to) => {
    using bench = new TraceBench();
    const { web, db } = bench.places;
    expect(seen(bench, from, to)).toEqual([
      `${web}: echo request out by eth0`,
      `host: echo request in by ${bench.webEnd}`,
      `host: echo request out by ${bench.dbEnd}`,
      `${db}: echo request in by eth0`,
      `${db}: echo reply out by eth0`,
      `host: echo reply in by ${bench.dbEnd}`,
      `host: echo reply out by ${bench.webEnd}`,
      `${web}: echo reply in by eth0`,
    ]);
  });

  test("to the world, it settles what cannot be seen from here", () => {
    using bench = new TraceBench();
    const traced = bench.trace("--probe", "default/web-0", WORLD);
    expect(traced).toMatchObject({ exitCode: 0, verdict: "ok", probe: { isAnswered: true } });
    expect(traced.hops.flatMap(({ facts }) => facts).every(({ verdict }) => verdict === "ok")).toBe(true);
  });

  test("through address translation it is still told from others", () => {
    using bench = new TraceBench();
    bench.type(
      "nft 'table ip nat { chain post { type nat hook postrouting priority 100; ip saddr 10.20.0.0/16 oifname uplink0 masquerade; }; }'",
    );
    const traced = bench.trace("--probe", "default/web-0", WORLD);
    expect(traced).toMatchObject({ exitCode: 0, probe: { isAnswered: true } });
    expect(bench.fact(traced, "firewall")).toMatchObject({ seen: "accepts, masquerade" });
  });

  test("from the host, and to it", () => {
    using bench = new TraceBench();
    expect(bench.trace("--probe", "host", "default/web-0")).toMatchObject({
      exitCode: 0,
      probe: { isAnswered: true },
    });
    expect(bench.trace("--probe", "default/web-0", "host")).toMatchObject({
      exitCode: 0,
      probe: { isAnswered: true },
    });
  });

  test("shows who asked for the gateway, and what was answered", () => {
    using bench = new TraceBench();
    const { stdout } = bench.text("--probe", "default/web-0", "default/db-0");
    expect(stdout).toMatch(/● probe +who has 169\.254\.1\.1\? out by eth0/);
    expect(stdout).toMatch(/● probe +169\.254\.1\.1 is at ee:ee:ee:ee:ee:ee in by eth0/);
  });

  test("is one packet", () => {
    using bench = new TraceBench();
    bench.type(
      "nft 'table inet count { chain forward { type filter hook forward priority 0; icmp type echo-request counter; }; }'",
    );
    bench.trace("--probe", "default/web-0", "default/db-0");
    expect(bench.host.exec("nft", "list", "table", "inet", "count").stdout).toMatch(/counter packets 1 /);
  });
});

describe("a port", () => {
  test.each(["10.20.1.3:8080", "[fd00:20::3]:8080"])("TCP to %s: SYN, SYN-ACK", async (to) => {
    using bench = new TraceBench();
    const script = "require('node:net').createServer().listen(8080, '::', () => console.log('listens'))";
    const server = execa("nsenter", [`--net=${bench.db.path}`, "--", process.execPath, "-e", script], {
      reject: false,
    });
    try {
      await once(server.stdout, "data");
      const traced = bench.trace("--probe", "default/web-0", to);
      expect(traced).toMatchObject({ exitCode: 0, probe: { isAnswered: true } });
      expect(bench.fact(traced, "tcp port 8080")).toMatchObject({ seen: "somebody listens" });
      expect(seen(bench, "default/web-0", to).at(-1)).toBe(`${bench.places.web}: SYN-ACK in by eth0`);
    } finally {
      server.kill("SIGKILL");
      await server;
    }
  });

  test("that nobody listens at: RST, or an ICMP error", () => {
    using bench = new TraceBench();
    expect(seen(bench, "default/web-0", "default/db-0:81").at(-1)).toBe(
      `${bench.places.web}: RST in by eth0`,
    );
    expect(seen(bench, "default/web-0", "default/db-0:53/udp")).toContain(
      `${bench.places.web}: "port unreachable" from 10.20.1.3 in by eth0`,
    );
  });
});

describe("a probe that is lost", () => {
  test("where the facts say so: and where it went instead", () => {
    using bench = new TraceBench();
    bench.host.ip("route", "delete", "10.20.1.3");
    const { stdout, exitCode } = bench.text("--probe", "default/web-0", "default/db-0");
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(new RegExp(`○ probe +no echo request out by ${bench.dbEnd}`));
    expect(stdout).toMatch(/! probe +echo request out by uplink0, not the way expected/);
    expect(stdout).toContain("First wrong thing, host: route to 10.20.1.3");
  });

  test("by a rule that cannot be decided: between which interfaces", () => {
    using bench = new TraceBench();
    bench.type(
      "nft 'table inet guard { chain forward { type filter hook forward priority 0; meta length > 0 drop; }; }'",
    );
    const { stdout, exitCode } = bench.text("--probe", "default/web-0", "default/db-0");
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      `First wrong thing, host: the probe\n  seen      echo request in by ${bench.webEnd}, then nothing\n`,
    );
    expect(stdout).toContain(`  expected  echo request out by ${bench.dbEnd}\n`);
  });

  test("beyond the host: that nobody answered", () => {
    using bench = new TraceBench();
    const { stdout, exitCode } = bench.text("--probe", "default/web-0", "198.51.100.9");
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      "198.51.100.9, or somebody on the way, is silent, or has no way back to 10.20.1.2",
    );
  });

  test("before it was sent", () => {
    using bench = new TraceBench();
    bench.web.ip("route", "delete", "default");
    expect(bench.trace("--probe", "default/web-0", "10.20.1.3")).toMatchObject({
      exitCode: 1,
      firstWrong: { subject: "route to 10.20.1.3" },
      probe: { isAnswered: false, refusal: "Network is unreachable" },
    });
  });

  test.each([
    { title: "the answer comes in", knows: true },
    { title: "the question for the host's MAC, that comes before an answer, comes in", knows: false },
  ])("by a strict rp_filter where $title by another uplink: named, and the mend mends", ({ knows }) => {
    using bench = new TraceBench();
    const { host } = bench;
    connect(host, host.router, {
      names: ["uplink1", "downlink1"],
      addresses: [["203.0.113.1/24"], ["203.0.113.254/24"]],
    });
    host.ip("route", "replace", "default", "via", "203.0.113.254");
    // Where the router does not know the host already its question is dropped for its source as well.
    if (knows) expect(host.router.ping("192.0.2.1").received).toBe(1);
    host.setSysctl("net/ipv4/conf/uplink0/rp_filter", 1);
    // The world answers through uplink0, which nothing but an answer can tell.
    expect(bench.trace("default/web-0", WORLD)).toMatchObject({ exitCode: 0 });
    const { exitCode, firstWrong } = bench.trace("--probe", "default/web-0", WORLD);
    expect({ exitCode, firstWrong }).toMatchObject({
      exitCode: 1,
      firstWrong: { place: "host", subject: "rp_filter", seen: `strict: drops ${WORLD}` },
    });
    bench.type(firstWrong?.mend ?? "");
    // The router may have given up for a second.
    if (!knows) host.router.exec("ip", "neigh", "flush", "all");
    expect(bench.trace("--probe", "default/web-0", WORLD)).toMatchObject({
      exitCode: 0,
      probe: { isAnswered: true },
    });
  });
});

test("frames are read until the time is over, however many there are, and the rest later", () => {
  using busy = new TestNetns("busy");
  busy.ip("link", "set", "lo", "up");
  using namespace = Namespace.open(busy.path);
  using capture = new Capture(namespace);
  busy.ping("127.0.0.1", { count: 2 });
  expect([...capture.frames(performance.now())]).toEqual([]);
  // Each echo and each answer, out and in.
  expect([...capture.frames(performance.now() + 1000)]).toHaveLength(8);
});
