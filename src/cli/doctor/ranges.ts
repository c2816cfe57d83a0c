// The ranges of the node's networks, for checks that ask about addresses.
import { CniError } from "../../cni/error.ts";
import { readNode } from "../../cni/node.ts";
import { configuredRanges } from "../../cni/source.ts";
import { podCidrFamily, type RangeSet } from "../../ipam/range.ts";
import { configs } from "../node/configuration.ts";
import type { Network, Node } from "../node/node.ts";

/** Subnets that pods have their addresses from, as text; those that cannot be known are left out. */
export function podPrefixes(node: Node): string[] {
  return [...new Set(node.networks().flatMap(subnets))];
}

/** Of one network; what a configuration says wrong is left to the check of configurations. */
function subnets({ document, stateDir }: Network): string[] {
  return configs(document.ipam).flatMap(({ subnet }) => {
    const family = podCidrFamily(subnet);
    if (family === undefined) return [subnet];
    return ifRight(() => readNode(stateDir))?.podCidrs[family] ?? [];
  });
}

/** As ADD reads them; why not, where it would refuse. None of networks without a configuration or ranges of our own. */
export function rangeSetsOf({ part, document, stateDir }: Network): RangeSet[] | string {
  if (part === undefined) return [];
  try {
    return configuredRanges(document, stateDir);
  } catch (error) {
    if (error instanceof CniError) return error.message;
    throw error;
  }
}

/** `undefined` where slash32 would refuse. */
export function ifRight<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}
