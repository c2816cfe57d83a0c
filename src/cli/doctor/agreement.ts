// Store and kernel, held against each other as `slash32 ipam check` does; less what CHECK tells of each pod.
import type { Finding as Disagreement, Kind } from "../ipam/finding.ts";
import { Scene } from "../ipam/scene.ts";
import { survey } from "../ipam/survey.ts";
import type { Node } from "../node/node.ts";
import { type Check, error, type Finding, found, unable, warning } from "./check.ts";

/** What a pod's user, or the next one, notices. A kind that is not here is told by another check. */
const CONSEQUENCES: Readonly<Partial<Record<Kind, readonly [Finding["severity"], string]>>> = {
  "lease-without-link": ["warning", "The pod is gone, and its address is not given to another."],
  "link-without-lease": ["error", "The store does not know of this pod: GC takes it for a leftover."],
  "link-not-ours": ["error", "The pod's packets go to somebody else's interface."],
  "sandbox-gone": ["warning", "The pod seems to be gone, and its link and address are not."],
  "sandbox-end-on-host": ["error", "The pod's interface was moved out of it: it has no network."],
  "route-without-lease": ["warning", "Packets to an address that nobody holds go to this interface."],
  "address-leased-twice": ["error", "Of two pods with one address only one is reached."],
  "address-of-host": ["error", "What is meant for the pod ends at the host."],
  "lease-without-address": ["error", "The pod's address is not known to be taken."],
  "lease-outside-ranges": ["warning", "The configuration has changed since the pod was made."],
  "store-missing": ["error", "The store was lost: what pods hold is known to the kernel alone."],
};

export const agreed: Check = {
  title: "store and kernel agree",
  run(node) {
    const unread = node.networks().find(({ stored }) => stored.kind === "unreadable");
    if (unread) return unable(`the store of network ${unread.name} cannot be read`);
    const findings = node.stateDirs().flatMap((stateDir) => disagreements(node, stateDir));
    return found(findings, "yes");
  },
};

/** Settles all that can be settled. */
export function repairCommand(stateDir: string): string {
  return `slash32 ipam repair${stateDir === "/run/slash32" ? "" : ` --state-dir ${stateDir}`}`;
}

function disagreements(node: Node, stateDir: string): Finding[] {
  using scene = new Scene({ stateDir, network: undefined, sets: [] });
  const others = new Set(
    node
      .networks()
      .filter((network) => network.stateDir !== stateDir)
      .map(({ name }) => name),
  );
  return survey(scene).findings.flatMap((seen) => (others.has(seen.network) ? [] : told(seen, stateDir)));
}

function told(seen: Disagreement, stateDir: string): Finding[] {
  const [severity, why] = CONSEQUENCES[seen.kind] ?? [];
  if (severity === undefined || why === undefined) return [];
  const { attachment, subject, is, should, mends, advice } = seen;
  const whose = attachment === undefined ? "" : `${attachment}: `;
  const words = `${whose}${subject} is ${is}, should be ${should}`;
  const type = mends.length > 0 ? repairCommand(stateDir) : `# ${advice}`;
  return [(severity === "error" ? error : warning)(words, why, type)];
}
