// CNI specification, section 1: a runtime may call for many containers at once, and it does.

import { afterEach, describe, expect, test } from "vitest";
import { usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { patient, repetitions } from "../helpers/patience.ts";
import { add, netconf, type PluginCall, type PluginOutcome, plugin, pluginAsync } from "../helpers/plugin.ts";

/** Calls for as many containers as wanted, a sandbox each, all on one host. */
class Crowd implements Disposable {
  readonly host = new TestHost();
  readonly calls: readonly (PluginCall & { netns: TestNetns; containerId: string })[];

  constructor(size: number, keys = {}) {
    const { host } = this;
    this.calls = Array.from({ length: size }, (_, at) => {
      return { host, netns: new TestNetns(), containerId: `pod-${at}`, netconf: netconf(host, keys) };
    });
  }

  [Symbol.dispose](): void {
    for (const { netns } of this.calls) netns[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** All started before the first one ends. */
function atOnce(verb: "ADD" | "DEL", calls: readonly PluginCall[]): Promise<PluginOutcome[]> {
  return Promise.all(calls.map((call) => pluginAsync(verb, call)));
}

function addressOf(outcome: PluginOutcome): string {
  return succeeded(outcome).ips?.[0]?.address?.replace("/32", "") as string;
}

const SIZE = repetitions(200);

describe(`${SIZE} containers at once`, () => {
  const crowd = new Crowd(SIZE);
  const { host, calls } = crowd;
  let addresses: readonly string[] = [];

  test(`${SIZE} ADDs succeed, and no address is given twice`, { timeout: patient(60_000) }, async () => {
    addresses = (await atOnce("ADD", calls)).map(addressOf);
    expect(new Set(addresses).size).toBe(SIZE);
    expect(remains(host)).toMatchObject({ links: { length: SIZE }, leases: SIZE });
    expect(remains(host).routes.toSorted()).toEqual(addresses.toSorted());
  });

  test("each holds the address it was told, and a pod reaches others and the world", () => {
    for (let at = 0; at < SIZE; at += 9) {
      const { netns } = calls[at] as (typeof calls)[number];
      const [{ addr_info }] = netns.ip("-4", "address", "show", "dev", "eth0") as [
        { addr_info: { local: string }[] },
      ];
      expect(addr_info.map(({ local }) => local)).toEqual([addresses[at]]);
      expect(netns.ping(addresses[(at + 67) % SIZE] as string)).toEqual({ received: 1, ttl: 63 });
    }
    expect(calls[SIZE - 1]?.netns.ping("198.51.100.1")).toMatchObject({ received: 1 });
  });

  test(`${SIZE} DELs succeed, and nothing is left on the host and in the sandboxes`, {
    timeout: patient(60_000),
  }, async () => {
    for (const outcome of await atOnce("DEL", calls)) silent(outcome);
    expect(remains(host)).toEqual(NOTHING);
    for (const { netns } of calls.filter((_, at) => at % 9 === 0)) expect(netns.ip("link")).toHaveLength(1);
    crowd[Symbol.dispose]();
  });
});

describe("one attachment, several calls at once", () => {
  let crowd: Crowd;
  afterEach(() => crowd[Symbol.dispose]());

  test("four ADDs give one address, one interface, and the same answer", async () => {
    crowd = new Crowd(5);
    for (const call of crowd.calls) {
      const outcomes = await atOnce("ADD", [call, call, call, call]);
      const [first, ...others] = outcomes.map(succeeded);
      for (const other of others) expect(other).toEqual(first);
      expect(call.netns.ping("198.51.100.1")).toMatchObject({ received: 1 });
    }
    expect(remains(crowd.host)).toMatchObject({ links: { length: 5 }, leases: 5 });
  });

  test("four DELs are success", async () => {
    crowd = new Crowd(3);
    for (const call of crowd.calls) {
      succeeded(add(call));
      for (const outcome of await atOnce("DEL", [call, call, call, call])) silent(outcome);
    }
    expect(remains(crowd.host)).toEqual(NOTHING);
  });

  test("a DEL during ADD leaves the attachment whole or not at all, and a DEL after it nothing", async () => {
    crowd = new Crowd(24);
    const { host, calls } = crowd;
    const pairs = calls.map((call) => Promise.all([pluginAsync("ADD", call), pluginAsync("DEL", call)]));
    for (const [added, deleted] of await Promise.all(pairs)) {
      succeeded(added);
      silent(deleted);
    }
    const { attachments, leases, links, routes } = remains(host);
    expect([leases, links.length, routes.length]).toEqual(Array(3).fill(attachments.length));
    for (const { netns, containerId } of calls) {
      const whole = attachments.includes(`${containerId}/eth0`);
      expect(netns.ip("link")).toHaveLength(whole ? 2 : 1);
      if (whole) expect(netns.ping("198.51.100.1")).toMatchObject({ received: 1 });
    }
    for (const call of calls) silent(plugin("DEL", call));
    expect(remains(host)).toEqual(NOTHING);
  });
});

describe("more ADDs at once than there are addresses", () => {
  const SIX = {
    ipam: {
      ranges: [
        [{ subnet: "10.20.1.0/29", rangeEnd: "10.20.1.5" }],
        ...usable(["fd00:20::/64"]).map((subnet) => [{ subnet }]),
      ],
    },
  };

  test("as many succeed as there are, the others are refused with code 100 and leave nothing", async () => {
    using crowd = new Crowd(12, SIX);
    const { host, calls } = crowd;
    const outcomes = await atOnce("ADD", calls);
    const served = outcomes.filter(({ exitCode }) => exitCode === 0);
    expect(served.map(addressOf).toSorted()).toEqual(["10.20.1.2", "10.20.1.3", "10.20.1.4", "10.20.1.5"]);
    for (const outcome of outcomes) if (outcome.exitCode !== 0) refused(outcome, 100);
    expect(remains(host)).toMatchObject({
      links: { length: 4 },
      attachments: { length: 4 },
      leases: 4 * SIX.ipam.ranges.length,
    });
    for (const [at, { netns }] of calls.entries()) {
      expect(netns.ip("link")).toHaveLength(outcomes[at]?.exitCode === 0 ? 2 : 1);
    }
  });

  test("pods that come and go at once on the last addresses never share one", async () => {
    using crowd = new Crowd(8, SIX);
    const { host, calls } = crowd;
    const lives = calls.map(async (call) => {
      for (let round = 0; round < 5; round += 1) {
        const added = await pluginAsync("ADD", call);
        if (added.exitCode !== 0) refused(added, 100);
        silent(await pluginAsync("DEL", call));
      }
    });
    await Promise.all(lives);
    expect(remains(host)).toEqual(NOTHING);
  });
});

test("two networks at once in each of 20 sandboxes, as containerd attaches them", async () => {
  using crowd = new Crowd(20);
  const { host, calls } = crowd;
  const second = netconf(host, { name: "second", ipam: { ranges: [[{ subnet: "10.20.2.0/24" }]] } });
  const both = calls.flatMap((call) => [call, { ...call, ifName: "eth1", netconf: second }]);
  for (const outcome of await atOnce("ADD", both)) succeeded(outcome);
  for (const { netns } of calls) {
    expect(netns.ip("link")).toHaveLength(3);
    expect(netns.ping("198.51.100.1")).toMatchObject({ received: 1 });
  }
  for (const outcome of await atOnce("DEL", both)) silent(outcome);
  expect([remains(host), remains(host, "second")]).toEqual([NOTHING, NOTHING]);
});
