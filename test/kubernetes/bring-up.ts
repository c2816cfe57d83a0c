// From machines that are switched off to nodes that are ready.
import type { Cluster } from "./cluster.ts";
import { type Inventory, takeInventory } from "./inventory.ts";
import type { Node } from "./node.ts";
import type { Missing, Timeline } from "./timeline.ts";

/** Returns what was on each node before slash32 came. */
export async function bringUp(
  cluster: Cluster,
  images: readonly string[],
  timeline: Timeline,
): Promise<ReadonlyMap<Node, Inventory>> {
  const { controlPlane, kubectl, nodes } = cluster;

  await timeline.step("control plane ready", 300, async (until) => {
    controlPlane.start();
    await until(() => expectSuccess(kubectl.run("get", "--raw=/readyz")));
    // Without it no pod is admitted.
    await until(() => expectSuccess(kubectl.run("get", "serviceaccount", "default")));
    const { serverVersion } = JSON.parse(await kubectl.run("version", "--output=json"));
    return `Kubernetes ${serverVersion.gitVersion}`;
  });

  await timeline.step("three nodes registered, not ready: there is no network", 300, async (until) => {
    await Promise.all(nodes.map((node) => node.switchOn()));
    await until(() => cluster.missingReadiness("False"));
    await until(() => expectSuccess(cluster.podCidrs()));
    return [...(await cluster.podCidrs()).values()].join(" ");
  });

  await timeline.step("images imported; routes between the nodes", 180, async () => {
    for (const image of images) await Promise.all(nodes.map((node) => node.import(image)));
    await cluster.route();
  });
  const inventories = await Promise.all(
    nodes.map(async (node) => [node, await takeInventory(node)] as const),
  );

  await timeline.step("DaemonSet applied: three nodes ready", 300, async (until) => {
    await kubectl.pipe(await cluster.manifests(), "apply", "--filename=-");
    await until(() => cluster.missingReadiness("True"));
  });
  return new Map(inventories);
}

/** Nothing is missing when it succeeds. */
async function expectSuccess(work: Promise<unknown>): Promise<Missing> {
  await work;
  return undefined;
}
