// The ranges of the node's networks, for checks that ask about addresses.
import { CniError } from "../../cni/error.ts";
import { readNode } from "../../cni/node.ts";
import type { RangeConfig } from "../../ipam/range.ts";
import { podCidrFamily } from "../../ipam/range.ts";
import type { Network, Node } from "./node.ts";

/** Subnets that pods have their addresses from, as text; those that cannot be known are left out. */
export function podPrefixes(node: Node): string[] {
  return [...new Set(node.networks().flatMap(subnets))];
}

/** Of one network; what a configuration says wrong is left to the check of configurations. */
function subnets({ document, stateDir }: Network): string[] {
  return configs(document.ipam).flatMap(({ subnet }) => {
    const family = podCidrFamily(subnet);
    if (family === undefined) return [subnet];
    try {
      return readNode(stateDir).podCidrs[family] ?? [];
    } catch (error) {
      if (error instanceof CniError) return [];
      throw error;
    }
  });
}

export function configs(ipam: Network["document"]["ipam"] = {}): RangeConfig[] {
  return [...(ipam.subnet ? [ipam as RangeConfig] : []), ...(ipam.ranges ?? []).flat()];
}
