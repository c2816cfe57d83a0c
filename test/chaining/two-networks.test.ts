// slash32 twice in one pod: two networks, two interfaces; and sbr, which would give each its own way out.

import { expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";

const WORLD = "198.51.100.1";

function network(host: TestHost, name: string, subnet: string, keys = {}, more: object[] = []): ListRunner {
  const { cniVersion: _, name: __, ...plugin } = netconf(host, { ipam: { ranges: [[{ subnet }]] }, ...keys });
  return new ListRunner(host, { cniVersion: "1.0.0", name, plugins: [plugin, ...more] as never });
}

test("both addresses are reached, the first network has the way out, and each DEL takes its own", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const [red, blue] = [network(host, "red", "10.30.0.0/24"), network(host, "blue", "10.40.0.0/24")];
  const [first, second] = [
    { containerId: "a", netns: pod },
    { containerId: "a", netns: pod, ifName: "net1" },
  ];
  expect(red.add(first)).toMatchObject({
    ips: [{ address: "10.30.0.2/32" }],
    routes: [{ dst: "0.0.0.0/0" }],
  });
  expect(blue.add(second)).toMatchObject({ ips: [{ address: "10.40.0.2/32" }], routes: [] });
  red.check(first);
  blue.check(second);
  for (const address of ["10.30.0.2", "10.40.0.2"])
    expect(host.router.ping(address)).toMatchObject({ received: 1 });
  expect(pod.ip("route", "show", "default")).toMatchObject([{ dev: "eth0" }]);

  blue.del(second);
  red.check(first);
  expect(pod.ping(WORLD)).toMatchObject({ received: 1 });
  red.del(first);
  expect([remains(host, "red"), remains(host, "blue")]).toEqual([NOTHING, NOTHING]);
});

test("sbr finds no gateway in the result: it harms no traffic, gives no way out, and CHECK tells what it moved", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const second = { containerId: "a", netns: pod, ifName: "net1" };
  network(host, "red", "10.30.0.0/24").add({ containerId: "a", netns: pod });
  const blue = network(host, "blue", "10.40.0.0/24", {}, [{ type: "sbr" }]);
  blue.add(second);
  for (const address of ["10.30.0.2", "10.40.0.2"])
    expect(host.router.ping(address)).toMatchObject({ received: 1 });
  expect(pod.ip("route", "show", "table", "100")).toMatchObject([{ dst: "169.254.1.1", dev: "net1" }]);
  expect(() => blue.check(second)).toThrow(
    /route 169\.254\.1\.1\/32 in the sandbox is dev eth0, should be dev net1/,
  );
  blue.del(second);
  expect(remains(host, "blue").attachments).toEqual([]);
});
