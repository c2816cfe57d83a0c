// The end of slash32 on a cluster: nothing of it is left on any node.
import type { Cluster } from "./cluster.ts";
import { difference, type Inventory, takeInventory } from "./inventory.ts";
import type { Node } from "./node.ts";
import { missingPods, strayAddresses } from "./pods.ts";
import type { Timeline } from "./timeline.ts";

/** Throws when a node is not as it was before slash32 came. */
export async function checkRemoval(
  cluster: Cluster,
  before: ReadonlyMap<Node, Inventory>,
  timeline: Timeline,
): Promise<void> {
  const { kubectl, nodes } = cluster;

  await timeline.step("pods and DaemonSet deleted: every address returned", 300, async (until) => {
    await kubectl.run("delete", "deployment/web", "service/web");
    await until(() => missingPods(cluster, 0));
    await until(() => strayAddresses(cluster, []));
    await kubectl.pipe(await cluster.manifests(), "delete", "--filename=-");
    await until(() => missingPods(cluster, 0, "kube-system"));
  });

  await timeline.step("slash32 uninstall on each node: nothing is left", 300, async (until) => {
    for (const node of nodes) await node.run("/opt/cni/bin/slash32", "uninstall");
    for (const node of nodes)
      await until(async () => difference(await takeInventory(node), before.get(node) ?? []));
    await until(() => cluster.missingReadiness("False"));
    return "links, routes and files are as before; the nodes are not ready again";
  });
}
