// From a host end to the sandbox it leads into, whatever the sandbox is known by.
import { execaSync } from "execa";
import { expect, test } from "vitest";
import { findNamespaces, findPeerNamespace } from "../../src/datapath/find-namespace.ts";
import { findLink } from "../../src/datapath/host.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import type { Link } from "../../src/datapath/rtnetlink/link.ts";
import { testEndpoint, wire } from "../helpers/endpoint.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { Occupant } from "../helpers/occupant.ts";

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
