// portmap after slash32: a port of the host leads to a pod.

import { expect, test } from "vitest";
import { answering, ask } from "../helpers/answering.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { type ListAttachment, ListError, ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";

const WORLD = "192.0.2.254"; // the router, as the host sees it
const HOST = "192.0.2.1";

function chain(host: TestHost, keys = {}) {
  const { cniVersion: _, name: __, ...plugin } = netconf(host, keys);
  return {
    cniVersion: "1.0.0",
    name: "podnet",
    plugins: [plugin, { type: "portmap", capabilities: { portMappings: true } }],
  };
}

function mapped(netns: TestNetns, portMappings: readonly object[]) {
  return { containerId: "web", netns, capabilities: { portMappings } };
}

/**
 * Who fails in CHECK. In 1.1.1 that is portmap, whatever made the pod: it looks for the rules of one family in the table of
 * the other. What counts is that slash32, which comes before it, does not.
 */
function blamed(runner: ListRunner, attachment: ListAttachment): string | undefined {
  try {
    runner.check(attachment);
  } catch (error) {
    if (error instanceof ListError) return error.plugin;
    throw error;
  }
  return undefined;
}

test.each(["tcp", "udp"] as const)(
  "a %s port of the host leads to the pod, from outside, from the host and from a pod, until DEL",
  async (protocol) => {
    using host = new TestHost();
    using pod = new TestNetns();
    using other = new TestNetns();
    const runner = new ListRunner(host, chain(host));
    const web = mapped(pod, [{ hostPort: 8080, containerPort: 80, protocol }]);
    const result = runner.add(web);
    runner.add({ containerId: "other", netns: other });
    await using _ = await answering(pod, 80);

    expect(result.ips).toEqual([{ address: "10.20.1.2/32", interface: 1 }]);
    expect(ask(host.router, protocol, HOST, 8080)).toBe(`${protocol} ${WORLD}`);
    expect(ask(host, protocol, HOST, 8080)).toContain(protocol);
    expect(ask(host, protocol, "127.0.0.1", 8080)).toContain(protocol);
    expect(ask(other, protocol, HOST, 8080)).toBe(`${protocol} 10.20.1.3`);
    expect(ask(pod, protocol, HOST, 8080)).toContain(protocol);
    expect(ask(host.router, protocol, HOST, 8081)).toBe("");
    expect(blamed(runner, web)).toBe("portmap");

    runner.del(web);
    expect(ask(host.router, protocol, HOST, 8080)).toBe("");
    runner.del({ containerId: "other", netns: other });
    expect(remains(host)).toEqual(NOTHING);
  },
);

test("hostIP: the port is that address's alone", async () => {
  using host = new TestHost();
  using pod = new TestNetns();
  host.ipBatch("address add 192.0.2.9/24 dev uplink0");
  const runner = new ListRunner(host, chain(host));
  runner.add(mapped(pod, [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "192.0.2.9" }]));
  await using _ = await answering(pod, 80);
  expect(ask(host.router, "tcp", "192.0.2.9", 8080)).toBe(`tcp ${WORLD}`);
  expect(ask(host.router, "tcp", HOST, 8080)).toBe("");
});

test("of a pod with both families, both have the port", async () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const ranges = [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20:1::/64" }]];
  const runner = new ListRunner(host, chain(host, { ipam: { type: "slash32", ranges } }));
  const web = mapped(pod, [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]);
  runner.add(web);
  await using _ = await answering(pod, 80);
  expect(ask(host.router, "tcp", HOST, 8080)).toBe(`tcp ${WORLD}`);
  expect(ask(host.router, "tcp", "2001:db8::1", 8080)).toBe("tcp 2001:db8::fe");
  expect(blamed(runner, web)).toBe("portmap");
  runner.del(web);
});

test("where the pod is gone, DEL takes port and pod away, and a second DEL is success", () => {
  using host = new TestHost();
  using pod = new TestNetns();
  const runner = new ListRunner(host, chain(host));
  const web = mapped(pod, [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]);
  runner.add(web);
  const gone = { ...web, netns: undefined };
  pod[Symbol.dispose]();
  runner.del(gone);
  runner.del(gone);
  expect(host.exec("iptables-save").stdout).not.toMatch(/10\.20\.1\.2|8080/);
  expect(remains(host)).toEqual(NOTHING);
});
