// What happens to a cluster: the DaemonSet is replaced, pods go and come, a node dies.
import type { Cluster } from "./cluster.ts";
import type { Node } from "./node.ts";
import { startPing } from "./ping.ts";
import {
  assertOwnAddresses,
  assertPing,
  missingPods,
  neighboursAndStranger,
  type Pod,
  readyPods,
  strayAddresses,
} from "./pods.ts";
import type { Missing, Timeline, Until } from "./timeline.ts";
import { REPLICAS } from "./traffic.ts";

/** Fewer would not tell that a ping went on all the time. */
const FEWEST_PINGS = 20;

export async function checkChange(cluster: Cluster, timeline: Timeline): Promise<void> {
  await timeline.step("DaemonSet restarted under a ping across nodes", 600, () => restart(cluster));

  await timeline.step("no pods: every address returned", 300, async (until) => {
    await scale(cluster, 0);
    await until(() => missingPods(cluster, 0));
    await until(() => strayAddresses(cluster, []));
  });

  await timeline.step(`${REPLICAS} pods again: no address leaked, none given twice`, 300, async (until) => {
    await scale(cluster, REPLICAS);
    await until(() => disagreement(cluster));
    await assertOwnAddresses(cluster, await readyPods(cluster));
  });

  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("Cannot reboot a node: there is none");
  const what = `${node.name} dies and boots: its pods are back, no address leaked`;
  await timeline.step(what, 600, (until) => reboot(node, cluster, until));
}

async function restart(cluster: Cluster): Promise<string> {
  const { kubectl } = cluster;
  const [pod, , stranger] = neighboursAndStranger(await readyPods(cluster));
  const ping = startPing(kubectl, pod, stranger);
  await kubectl.run("rollout", "restart", "daemonset/slash32", "--namespace=kube-system");
  await kubectl.run("rollout", "status", "daemonset/slash32", "--namespace=kube-system");
  const { sent, lost } = await ping.end();
  if (sent < FEWEST_PINGS || lost > 0) throw new Error(`${lost} of ${sent} pings lost`);
  return `${sent} pings, none lost`;
}

async function reboot(node: Node, cluster: Cluster, until: Until): Promise<string> {
  const podsOf = (pods: readonly Pod[]) => pods.filter((pod) => pod.node === node);
  const before = podsOf(await readyPods(cluster));
  await node.switchOff();
  await node.switchOn();
  await cluster.route();
  await until(() => disagreement(cluster));
  const pods = await readyPods(cluster);
  await assertOwnAddresses(cluster, pods);
  const after = podsOf(pods);
  const [pod, stranger] = [after[0], pods.find((other) => other.node !== node)];
  if (pod === undefined || stranger === undefined) throw new Error(`${node.name} has no pods any more`);
  await assertPing(cluster, pod, stranger, 62);
  return `${before.length} pods before, ${after.length} after`;
}

async function scale({ kubectl }: Cluster, replicas: number): Promise<void> {
  await kubectl.run("scale", "deployment/web", `--replicas=${replicas}`);
}

/** Undefined when all nodes and pods are ready, and every node holds the addresses of its pods and no others. */
async function disagreement(cluster: Cluster): Promise<Missing> {
  return (
    (await cluster.missingReadiness("True")) ??
    (await missingPods(cluster, REPLICAS)) ??
    (await strayAddresses(cluster, await readyPods(cluster)))
  );
}
