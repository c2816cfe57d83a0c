// The pods of test/fixtures/kubernetes/web.yaml: which there are, which addresses they have, and whom they reach.
import { contains, parseAddress, parsePrefix } from "../../src/address.ts";
import type { Cluster } from "./cluster.ts";
import { condition, type PodResource } from "./kubectl.ts";
import type { Node } from "./node.ts";
import type { Missing } from "./timeline.ts";

export interface Pod {
  readonly name: string;
  readonly node: Node;
  readonly address: string;
}

/** Undefined when there are as many pods as are wanted, no others, and each is ready. */
export async function missingPods(
  { kubectl }: Cluster,
  wanted: number,
  namespace = "default",
): Promise<Missing> {
  const pods = await kubectl.get<PodResource>("pods", `--namespace=${namespace}`);
  const ready = pods.filter(({ status }) => condition(status.conditions, "Ready")?.status === "True");
  if (pods.length === wanted && ready.length === wanted) return undefined;
  return `${ready.length} of ${pods.length} pods are ready, ${wanted} are wanted`;
}

/** All that are ready. */
export async function readyPods(cluster: Cluster): Promise<readonly Pod[]> {
  const pods = await cluster.kubectl.get<PodResource>("pods");
  return pods.flatMap(({ metadata: { name }, spec: { nodeName }, status: { podIP, conditions } }) => {
    const node = cluster.nodes.find((one) => one.name === nodeName);
    const isReady = condition(conditions, "Ready")?.status === "True";
    return node && podIP && isReady ? [{ name, node, address: podIP }] : [];
  });
}

/** Throws unless each pod has an address of its node's range and no two have the same. */
export async function assertOwnAddresses(cluster: Cluster, pods: readonly Pod[]): Promise<void> {
  const cidrs = await cluster.podCidrs();
  for (const { name, node, address } of pods) {
    const cidr = cidrs.get(node.name) ?? "";
    if (!isWithin(cidr, address))
      throw new Error(`${name} on ${node.name} has ${address}, which is not of ${cidr}`);
  }
  const addresses = pods.map(({ address }) => address);
  const twice = addresses.find((address, at) => addresses.indexOf(address) !== at);
  if (twice !== undefined) throw new Error(`two pods have ${twice}`);
}

/** Undefined when leases and routes on each node are those of these pods, and no others. */
export async function strayAddresses(cluster: Cluster, pods: readonly Pod[]): Promise<Missing> {
  for (const node of cluster.nodes) {
    const expected = pods.filter((pod) => pod.node === node).map(({ address }) => address);
    for (const [what, found] of Object.entries(await addressesOn(node))) {
      const difference = compare(expected, found);
      if (difference !== undefined) return `${what} on ${node.name}: ${difference}`;
    }
  }
  return undefined;
}

async function addressesOn(node: Node): Promise<Readonly<Record<string, readonly string[]>>> {
  const list = JSON.parse(await node.run("/opt/cni/bin/slash32", "ipam", "list", "--json"));
  const routes = node.ip("route", "show", "proto", "32") as { readonly dst: string }[];
  return {
    leases: list.addresses.map(({ address }: { address: string }) => address),
    routes: routes.map(({ dst }) => dst),
  };
}

function compare(expected: readonly string[], found: readonly string[]): Missing {
  const missing = expected.filter((address) => !found.includes(address));
  const extra = found.filter((address) => !expected.includes(address));
  if (missing.length + extra.length === 0) return undefined;
  return `${missing.join(" ") || "nothing"} is missing, ${extra.join(" ") || "nothing"} is too many`;
}

/** Throws unless an echo comes back from the other pod, with the TTL that so many routers have left of 64. */
export async function assertPing(cluster: Cluster, from: Pod, to: Pod, ttl: number): Promise<void> {
  const command = ["/busybox", "ping", "-c", "1", "-W", "3", to.address];
  const printed = await cluster.kubectl.exec(from.name, ...command);
  const [seen = "no answer"] = /ttl=\d+/.exec(printed) ?? [];
  if (seen !== `ttl=${ttl}`) throw new Error(`${from.name} to ${to.name}: ${seen}, expected ttl=${ttl}`);
}

/** Two pods on one node, and one on another. Throws when there are none such. */
export function neighboursAndStranger(pods: readonly Pod[]): readonly [Pod, Pod, Pod] {
  for (const [at, one] of pods.entries()) {
    const neighbour = pods.slice(at + 1).find(({ node }) => node === one.node);
    const stranger = pods.find(({ node }) => node !== one.node);
    if (neighbour && stranger) return [one, neighbour, stranger];
  }
  throw new Error("no two pods are on one node and a third on another");
}

function isWithin(cidr: string, address: string): boolean {
  const [prefix, own] = [parsePrefix(cidr), parseAddress(address)];
  return prefix !== undefined && own !== undefined && contains(prefix, own);
}
