// What is true of this node alone, from whoever tells it first: arguments, environment, a file, Kubernetes.
import type { Family } from "../address.ts";
import { parsePrefix } from "../address.ts";
import { UsageError } from "../cli/command.ts";
import { type Node, parseNode } from "../cni/node.ts";
import { readText } from "../files.ts";
import type { PodCidrs } from "../ipam/range.ts";
import { type NodeLookup, nodeInKubernetes } from "./kubernetes.ts";

export const POD_CIDR_VARIABLE = "SLASH32_POD_CIDR";

/** What is known of the node; `runtime` as Kubernetes names it, where that was asked and says so. */
export interface Facts extends Node {
  readonly runtime?: string | undefined;
}

const NOTHING: Facts = { podCidrs: {}, mtu: undefined };

export interface FactSources {
  readonly podCidrs: readonly string[] | undefined;
  readonly nodeFile: string | undefined;
  /** Absent where Kubernetes is not to be asked. */
  readonly kubernetes: NodeLookup | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * Throws a UsageError for what is no CIDR; waits for Kubernetes. Where nobody tells anything, nothing is known. The MTU is
 * the node file's, whoever tells the CIDRs.
 */
export function learnFacts({ podCidrs, nodeFile, kubernetes, environment }: FactSources): Facts {
  const file = nodeFile === undefined ? NOTHING : parseNode(readText(nodeFile), nodeFile);
  const { mtu } = file;
  if (podCidrs !== undefined) return { podCidrs: told(podCidrs, "--pod-cidr"), mtu };
  const variable = environment[POD_CIDR_VARIABLE];
  const inVariable = variable?.split(/[\s,]+/).filter(Boolean) ?? [];
  if (inVariable.length > 0) return { podCidrs: told(inVariable, POD_CIDR_VARIABLE), mtu };
  if (Object.keys(file.podCidrs).length > 0) return file;
  if (kubernetes !== undefined) {
    const { podCidrs: assigned, runtime } = nodeInKubernetes(kubernetes, environment);
    return { podCidrs: told(assigned, "Kubernetes"), mtu, runtime };
  }
  return file;
}

function told(cidrs: readonly string[], source: string): PodCidrs {
  const podCidrs: Partial<Record<Family, string>> = {};
  for (const cidr of cidrs) {
    const family = parsePrefix(cidr)?.address.family;
    const expected = family ? "one of each family" : 'a CIDR such as "10.20.1.0/24"';
    if (family === undefined || podCidrs[family] !== undefined)
      throw new UsageError(`${source} is ${JSON.stringify(cidr)}, expected ${expected}`);
    podCidrs[family] = cidr;
  }
  return podCidrs;
}
