// Pods, and who reaches whom.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "./cluster.ts";
import {
  assertOwnAddresses,
  assertPing,
  missingPods,
  neighboursAndStranger,
  readyPods,
  strayAddresses,
} from "./pods.ts";
import type { Timeline } from "./timeline.ts";

const WEB = join(import.meta.dirname, "../fixtures/kubernetes/web.yaml");
export const REPLICAS = 30;

export async function checkTraffic(cluster: Cluster, timeline: Timeline): Promise<void> {
  const { kubectl, nodes } = cluster;

  await timeline.step(`Deployment of ${REPLICAS} pods ready`, 300, async (until) => {
    await kubectl.pipe(readFileSync(WEB, "utf8"), "apply", "--filename=-");
    await until(() => missingPods(cluster, REPLICAS));
    const pods = await readyPods(cluster);
    return nodes
      .map((node) => `${pods.filter((pod) => pod.node === node).length} on ${node.name}`)
      .join(", ");
  });

  await timeline.step("each pod has an address of its own, of its node's range", 120, async (until) => {
    const pods = await readyPods(cluster);
    await assertOwnAddresses(cluster, pods);
    await until(() => strayAddresses(cluster, pods));
    return "leases and routes are the pods'";
  });

  await timeline.step("pod to pod, on one node and across nodes", 120, async () => {
    const [pod, neighbour, stranger] = neighboursAndStranger(await readyPods(cluster));
    await assertPing(cluster, pod, neighbour, 63);
    await assertPing(cluster, pod, stranger, 62);
    return "ttl 63 and 62";
  });

  await timeline.step("ClusterIP, from a pod and from each node", 120, async (until) => {
    const address = await kubectl.run("get", "service", "web", "--output=jsonpath={.spec.clusterIP}");
    const [pod] = await readyPods(cluster);
    if (pod === undefined) throw new Error("there is no pod");
    // kube-proxy is told of the pods when it is told.
    await until(async () =>
      unexpected(await kubectl.exec(pod.name, "/busybox", "nc", "-w", "3", address, "80")),
    );
    const ask = `timeout 3 cat </dev/tcp/${address}/80`;
    for (const node of nodes) await until(() => unexpected(node.exec("bash", "-c", ask).stdout));
  });

  await timeline.step("kubectl exec, kubectl logs", 120, async () => {
    const [pod] = await readyPods(cluster);
    if (pod === undefined) throw new Error("there is no pod");
    const hostname = await kubectl.exec(pod.name, "/busybox", "hostname");
    if (hostname !== pod.name) throw new Error(`${pod.name} calls itself ${hostname}`);
    const log = await kubectl.run("logs", pod.name);
    if (log !== `${pod.name} serves`) throw new Error(`the log of ${pod.name} is ${JSON.stringify(log)}`);
  });
}

/** A pod of the Deployment answers with its name. */
function unexpected(answer: string): string | undefined {
  return answer.startsWith("web-") ? undefined : `the answer is ${JSON.stringify(answer)}`;
}
