// From a host end to the sandbox it leads into, whatever the sandbox is known by.
import { execaSync } from "execa";
import { expect, test } from "vitest";
import { findNamespaces, Sandboxes } from "../../src/datapath/find-namespace.ts";
import { findLink } from "../../src/datapath/host.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import type { Link } from "../../src/datapath/rtnetlink/link.ts";
import { testEndpoint, wire } from "../helpers/endpoint.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { Occupant } from "../helpers/occupant.ts";

/** Asked as if for the first time. */
function findPeerNamespace(end: Link, host: Namespace): string | undefined {
  return new Sandboxes(host).pathOf(end);
}

test("each host end leads to its own sandbox, by the sandbox's name", () => {
  using host = new TestHost();
  using open = Namespace.open(host.path);
  using first = new TestNetns("pod");
  using second = new TestNetns("pod");
  const ends = [first, second].map((pod, at) => {
    const endpoint = testEndpoint({ containerId: `pod-${at}`, addresses: [`10.20.1.${2 + at}`] });
    wire(host, pod, endpoint);
    return findLink(open, endpoint.hostEnd) as Link;
  });
  expect(ends.map((end) => findPeerNamespace(end, open))).toEqual([first.path, second.path]);
  const all = findNamespaces(open);
  expect(ends.map(({ peerNamespace }) => all.get(peerNamespace as number))).toEqual([
    first.path,
    second.path,
  ]);
});

test("a sandbox without a name is found by a process in it, and one without either is not", async () => {
  using host = new TestHost();
  using open = Namespace.open(host.path);
  const pod = new TestNetns("pod");
  const endpoint = testEndpoint();
  wire(host, pod, endpoint);
  const end = findLink(open, endpoint.hostEnd) as Link;
  {
    using occupant = await Occupant.of(pod);
    execaSync("umount", [pod.path]);
    expect(findPeerNamespace(end, open)).toBe(`/proc/${occupant.pid}/ns/net`);
    using kept = Namespace.open(`/proc/${occupant.pid}/ns/net`);
    occupant[Symbol.dispose]();
    await until(() => findPeerNamespace(end, open) === undefined);
    expect(findLink(open, endpoint.hostEnd)?.peerNamespace, kept.path).toBe(end.peerNamespace);
  }
  pod[Symbol.dispose]();
});

test("pods that come and go while it is asked are found, though numbers are given to namespaces again", () => {
  using host = new TestHost();
  using open = Namespace.open(host.path);
  using first = new TestNetns("pod");
  using second = new TestNetns("pod");
  const sandboxes = new Sandboxes(open);
  const attach = (pod: TestNetns, containerId: string) => {
    const endpoint = testEndpoint({ containerId, addresses: ["10.20.1.2"] });
    wire(host, pod, endpoint);
    return findLink(open, endpoint.hostEnd) as Link;
  };
  const end = attach(first, "one");
  expect(sandboxes.pathOf(end)).toBe(first.path);
  host.ip("link", "delete", end.name);
  first[Symbol.dispose]();
  // The number is free again once the namespace has ended.
  while (host.exec("ip", "netns", "list-id").stdout.includes(`nsid ${end.peerNamespace} `)) Bun.sleepSync(10);
  const other = attach(second, "two");
  expect(other.peerNamespace).toBe(end.peerNamespace);
  expect(sandboxes.pathOf(other)).toBe(second.path);
});

test("a cable within the host leads nowhere", () => {
  using host = new TestNetns("host");
  using open = Namespace.open(host.path);
  host.ipBatch("link add one type veth peer name other");
  const end = findLink(open, "one") as Link;
  expect(end).toMatchObject({ kind: "veth", peerNamespace: undefined });
  expect(findPeerNamespace(end, open)).toBeUndefined();
});

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { timeout: 5000 }).toBe(true);
}
