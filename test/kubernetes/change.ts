// What happens to a cluster: the DaemonSet is replaced, pods go and come, a node dies.
import type { Cluster } from "./cluster.ts";
import { OTHER } from "./images.ts";
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
  await timeline.step("upgraded and downgraded under a ping across nodes", 900, () => upgrade(cluster));

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

/** To another version by another image, and back. */
async function upgrade(cluster: Cluster): Promise<string> {
  const { kubectl } = cluster;
  const before = await version(cluster);
  const [pod, , stranger] = neighboursAndStranger(await readyPods(cluster));
  const ping = startPing(kubectl, pod, stranger);
  const roll = async (...command: readonly string[]) => {
    await kubectl.run(...command, "--namespace=kube-system");
    await kubectl.run("rollout", "status", "daemonset/slash32", "--namespace=kube-system");
    return await version(cluster);
  };
  const images = ["install", "log"].map((container) => `${container}=${OTHER.image}`);
  const between = await roll("set", "image", "daemonset/slash32", ...images);
  const after = await roll("rollout", "undo", "daemonset/slash32");
  const { sent, lost } = await ping.end();
  if (sent < FEWEST_PINGS || lost > 0) throw new Error(`${lost} of ${sent} pings lost`);
  if (between !== `slash32 ${OTHER.version}` || after !== before) {
    throw new Error(`the nodes had ${before}, then ${between}, then ${after}`);
  }
  return `${before}, ${OTHER.version} and back; ${sent} pings, none lost`;
}

/** What is installed on all nodes. */
async function version({ nodes }: Cluster): Promise<string> {
  const versions = await Promise.all(nodes.map((node) => node.run("/opt/cni/bin/slash32", "--version")));
  return [...new Set(versions.map((text) => text.trim()))].join(", ");
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
