// tuning after slash32: what it changed is what CHECK expects from then on.

import { describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { ListError, ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";
import { thrown } from "../helpers/thrown.ts";

const MAC = "02:00:0a:14:01:99";

function runner(host: TestHost, tuning: object, keys = {}): ListRunner {
  const { cniVersion: _, name: __, ...plugin } = netconf(host, keys);
  const plugins = [plugin, { type: "tuning", ...tuning }];
  return new ListRunner(host, { cniVersion: "1.0.0", name: "podnet", plugins });
}

function eth0(netns: TestNetns): { address: string; mtu: number; promiscuity: number } {
  const [link] = netns.ip("link", "show", "dev", "eth0") as [ReturnType<typeof eth0>];
  return link;
}

test.each<[string, object, (pod: TestNetns) => unknown, unknown]>([
  ["sysctl", { sysctl: { "net.core.somaxconn": "500" } }, (pod) => pod.sysctl("net.core.somaxconn"), "500"],
  ["mtu", { mtu: 1300 }, (pod) => eth0(pod).mtu, 1300],
  ["promisc", { promisc: true }, (pod) => eth0(pod).promiscuity, 1],
])("%s: it holds, CHECK passes, and DEL leaves nothing", (_, tuning, seen, expected) => {
  using host = new TestHost();
  using pod = new TestNetns();
  const chain = runner(host, tuning);
  const attachment = { containerId: "a", netns: pod };
  chain.add(attachment);
  expect(seen(pod)).toBe(expected);
  chain.check(attachment);
  expect(pod.ping("198.51.100.1")).toMatchObject({ received: 1 });
  chain.del(attachment);
  expect(remains(host)).toEqual(NOTHING);
});

describe("CHECK finds what was changed after tuning", () => {
  test.each([
    ["the MTU", { mtu: 1300 }, "link set eth0 mtu 1200"],
    ["promiscuity", { promisc: true }, "link set eth0 promisc off"],
  ])("%s", (_, tuning, change) => {
    using host = new TestHost();
    using pod = new TestNetns();
    const chain = runner(host, tuning);
    const attachment = { containerId: "a", netns: pod };
    chain.add(attachment);
    pod.ipBatch(change);
    expect(() => chain.check(attachment)).toThrow(ListError);
  });
});

describe("a MAC of the pod's own", () => {
  const asked = { containerId: "a", args: `IgnoreUnknown=1;MAC=${MAC}`, capabilities: { mac: MAC } };

  test.each<[string, object, object, object]>([
    ["by slash32's capability", {}, { capabilities: { mac: true } }, { args: "" }],
    ["by CNI_ARGS, which tuning obeys too", {}, {}, { capabilities: {} }],
    ["by the capability of both", { capabilities: { mac: true } }, { capabilities: { mac: true } }, {}],
  ])("%s: the pod has it, is reached, and CHECK passes", (_, tuning, keys, how) => {
    using host = new TestHost();
    using pod = new TestNetns();
    const chain = runner(host, tuning, keys);
    const attachment = { ...asked, netns: pod, ...how };
    expect(chain.add(attachment).interfaces).toMatchObject([{}, { mac: MAC }]);
    expect(eth0(pod).address).toBe(MAC);
    expect(host.router.ping("10.20.1.2")).toMatchObject({ received: 1 });
    chain.check(attachment);
    chain.del(attachment);
    expect(remains(host)).toEqual(NOTHING);
  });

  // The host's neighbour is permanent: nobody asks the pod for its MAC, and a later plugin's cannot be known.
  test("by tuning alone: the pod is cut off; CHECK tells, and its command mends", () => {
    using host = new TestHost();
    using pod = new TestNetns();
    const chain = runner(host, { mac: MAC });
    const attachment = { containerId: "a", netns: pod };
    chain.add(attachment);
    expect(host.ping("10.20.1.2", { timeoutS: 0.3 })).toMatchObject({ received: 0 });
    const { answer } = refusal(() => chain.check(attachment));
    expect(answer?.details?.split("\n")).toEqual([
      expect.stringMatching(/^neighbour 10\.20\.1\.2 on cali\w+ on the host /),
    ]);
    const [, command = ""] = answer?.details?.split("; ") ?? [];
    expect(command).toMatch(/^ip neigh replace /);
    host.exec("sh", "-c", command);
    expect(host.ping("10.20.1.2")).toMatchObject({ received: 1 });
    chain.check(attachment);
  });
});

function refusal(work: () => void): ListError {
  const error = thrown(work);
  if (error instanceof ListError) return error;
  throw error;
}
