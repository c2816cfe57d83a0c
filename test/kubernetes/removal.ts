// The end of slash32 on a cluster: nothing of it is left on any node.
import { BASE } from "./bring-up.ts";
import type { Cluster } from "./cluster.ts";
import type { Node } from "./node.ts";
import { missingPods, strayAddresses } from "./pods.ts";
import type { Missing, Timeline } from "./timeline.ts";

/** What is on a node: links, routes, and files where slash32 has some. */
export type Inventory = readonly string[];

const FILES = ["/opt/cni", "/etc/cni", "/run/slash32", "/var/log/slash32*", "/run/netns/*"];

export async function takeInventory(node: Node): Promise<Inventory> {
  const links = node.ip("link") as { readonly ifname: string }[];
  const routes = node.ip("route", "show", "proto", "32") as { readonly dst: string }[];
  const files = await node.run(
    "bash",
    "-c",
    `shopt -s nullglob; find ${FILES.join(" ")} 2>/dev/null || true`,
  );
  return [
    ...links.map(({ ifname }) => `link ${ifname}`),
    ...routes.map(({ dst }) => `route ${dst}`),
    ...files.split("\n").filter((file) => file !== ""),
  ].sort();
}

/** Throws when a node is not as it was before slash32 came. */
export async function checkRemoval(
  cluster: Cluster,
  before: ReadonlyMap<Node, Inventory>,
  timeline: Timeline,
): Promise<void> {
  const { kubectl, nodes } = cluster;

  await timeline.step("pods and DaemonSet deleted: every address returned", 120, async (until) => {
    await kubectl.run("delete", "deployment/web", "service/web");
    await until(() => missingPods(cluster, 0));
    await until(() => strayAddresses(cluster, []));
    await kubectl.pipe(await kubectl.run("kustomize", BASE), "delete", "--filename=-");
    await until(() => missingPods(cluster, 0, "kube-system"));
  });

  await timeline.step("slash32 uninstall on each node: nothing is left", 120, async (until) => {
    for (const node of nodes) await node.run("/opt/cni/bin/slash32", "uninstall");
    for (const node of nodes)
      await until(async () => left(await takeInventory(node), before.get(node) ?? []));
    await until(() => cluster.missingReadiness("False"));
    return "links, routes and files are as before; the nodes are not ready again";
  });
}

function left(now: Inventory, before: Inventory): Missing {
  const more = now.filter((item) => !before.includes(item));
  const fewer = before.filter((item) => !now.includes(item));
  if (more.length + fewer.length === 0) return undefined;
  return [...more.map((item) => `${item} is left`), ...fewer.map((item) => `${item} is gone`)].join(", ");
}
