// A cluster of three nodes, and what is asked of it over and over.
import { join } from "node:path";

import { ControlPlane } from "./control-plane.ts";
import { condition, type NodeResource } from "./kubectl.ts";
import { Node } from "./node.ts";
import type { Place } from "./place.ts";
import type { Missing } from "./timeline.ts";

/** The lane's Kubernetes is older than 1.30. */
const DEPLOYED = join(import.meta.dirname, "../../deploy/before-1.30");
const ADDRESSES = ["172.30.0.1", "172.30.0.2", "172.30.0.3"];

export class Cluster implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly nodes: readonly Node[];

  private constructor(controlPlane: ControlPlane, nodes: readonly Node[]) {
    this.controlPlane = controlPlane;
    this.nodes = nodes;
  }

  /** All machines, with what they need on their disks; nothing runs on them. */
  static async prepare(place: Place, binaries: string, init: string): Promise<Cluster> {
    const controlPlane = await ControlPlane.open(place, binaries, init);
    const nodes = ADDRESSES.map((address, at) => {
      const name = `node-${at + 1}`;
      return new Node(place, controlPlane, { name, address, binaries, init });
    });
    return new Cluster(controlPlane, nodes);
  }

  get kubectl() {
    return this.controlPlane.kubectl;
  }

  /** What deploy/base comes to for this Kubernetes. */
  async manifests(): Promise<string> {
    return await this.kubectl.run("kustomize", DEPLOYED);
  }

  /** Undefined when all nodes are ready, or all are not; who is otherwise, and what is said of it. */
  async missingReadiness(wanted: "True" | "False"): Promise<Missing> {
    const nodes = await this.kubectl.get<NodeResource>("nodes");
    const ready = new Map(
      nodes.map(({ metadata, status }) => [metadata.name, condition(status.conditions, "Ready")]),
    );
    const astray = this.nodes.find(({ name }) => ready.get(name)?.status !== wanted);
    if (astray === undefined) return undefined;
    return `${astray.name}: ${ready.get(astray.name)?.message ?? "not registered"}`;
  }

  /** The pod CIDR of each node, by its name. Throws when one has none. */
  async podCidrs(): Promise<ReadonlyMap<string, string>> {
    const nodes = await this.kubectl.get<NodeResource>("nodes");
    return new Map(
      nodes.map(({ metadata: { name }, spec: { podCIDR } }) => {
        if (podCIDR === undefined) throw new Error(`${name} has no pod CIDR`);
        return [name, podCIDR];
      }),
    );
  }

  /** What an administrator, a router or an agent has to see to: each node's way to the pods of the others. */
  async route(): Promise<void> {
    const cidrs = await this.podCidrs();
    for (const node of this.nodes) {
      for (const { name, address } of this.nodes.filter((other) => other !== node))
        await node.run("ip", "route", "replace", cidrs.get(name) ?? "", "via", address);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.switchOff()));
    await this.controlPlane[Symbol.asyncDispose]();
  }
}
