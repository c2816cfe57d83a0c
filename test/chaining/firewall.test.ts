// firewall after slash32: on a host that forwards nothing by itself, pods may pass.

import { expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";

const WORLD = "198.51.100.1";

test("a pod passes where the host's own policy is to drop, and DEL takes the permission back", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  using other = new TestNetns();
  for (const iptables of ["iptables", "ip6tables"]) host.exec(iptables, "-P", "FORWARD", "DROP");
  const { cniVersion: _, name: __, ...plugin } = netconf(host);
  const list = { cniVersion: "1.0.0", name: "podnet" };
  const plain = new ListRunner(host, { ...list, plugins: [plugin] });
  const chain = new ListRunner(host, {
    ...list,
    plugins: [plugin, { type: "firewall", backend: "iptables" }],
  });
  const attachment = { containerId: "a", netns: pod };
  chain.add(attachment);
  plain.add({ containerId: "b", netns: other });

  expect(pod.ping(WORLD)).toMatchObject({ received: 1 });
  expect(other.ping(WORLD, { timeoutS: 0.3 })).toMatchObject({ received: 0 });
  expect(host.exec("iptables-save").stdout).toContain("10.20.1.2/32");
  chain.check(attachment);

  chain.del(attachment);
  expect(host.exec("iptables-save").stdout).not.toContain("10.20.1.2/32");
  plain.del({ containerId: "b", netns: other });
  expect(remains(host)).toEqual(NOTHING);
});
