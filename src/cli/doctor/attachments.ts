// Every pod's wiring, held against what ADD makes; and the sizes of its packets.
import { mtuOf } from "../../cni/endpoint.ts";
import { CniError } from "../../cni/error.ts";
import { egressMtu } from "../../datapath/egress.ts";
import type { Difference } from "../../datapath/verify.ts";
import { type Examined, examineAll, nameOf } from "../node/attachment.ts";
import type { Network, Node } from "../node/node.ts";
import { type Check, counted, error, type Finding, fine, found, unable, warning } from "./check.ts";
import { isForwardingOff } from "./settings.ts";
import { gatewayTrouble } from "./ways.ts";

type Verified = Extract<Examined, { kind: "verified" }>;

/** Of a fault that many pods share, so many are named. */
const NAMED = 3;
const NONE_SEEN = "no sandbox can be looked into";

const wired: Check = {
  title: "every pod is wired as ADD left it",
  run(node) {
    const all = examined(node);
    if (all.length === 0) return fine("no pods");
    const verified = verifiedOf(all);
    const isTold = common(node);
    const findings = verified.flatMap((one) =>
      one.differences.filter((seen) => !isTold(seen) && !isOfMtu(seen)).map((seen) => told(one, seen)),
    );
    const busy = all.filter(({ kind }) => kind === "busy").length;
    if (verified.length === 0 && hasClosed(all)) return unable(NONE_SEEN);
    const rest = busy > 0 ? `, ${busy} in work` : "";
    return found(findings, `${counted(verified.length, "pod")} verified${rest}`);
  },
};

const reachable: Check = {
  title: "every sandbox can be looked into",
  run(node) {
    const closed = examined(node).flatMap((one) => (one.kind === "closed" ? [one] : []));
    const [first] = closed;
    if (first === undefined) return fine(`${verifiedOf(examined(node)).length} of them`);
    const more = closed.length > 1 ? ` (and ${closed.length - 1} more)` : "";
    return unable(`${nameOf(first.holding)}: ${first.reason}${more}`);
  },
};

const sameMtu: Check = {
  title: "both ends of a pod have the MTU they were made with",
  run(node) {
    const verified = verifiedOf(examined(node));
    if (verified.length === 0 && hasClosed(examined(node))) return unable(NONE_SEEN);
    const findings = verified.flatMap(({ holding, differences }) =>
      differences.filter(isOfMtu).map(({ subject, is, should, restore }) => {
        const seen = `${nameOf(holding)}: ${subject} has ${is}, should have ${should}`;
        const why = "What one end sends in one piece the other may drop: large transfers hang.";
        return error(seen, why, restore);
      }),
    );
    return found(findings, summaryOfMtus(verified));
  },
};

const currentMtu: Check = {
  title: "pods have the MTU that ADD would choose now",
  run(node) {
    const findings: Finding[] = [];
    if (verifiedOf(examined(node)).length === 0 && hasClosed(examined(node))) return unable(NONE_SEEN);
    const out = egressMtu(node.host);
    for (const network of node.networks()) {
      const now = mtuNow(network, node);
      if (typeof now === "string") return unable(now);
      const pods = verifiedOf(examined(node)).filter((one) => one.network === network);
      const stale = pods.filter(({ holding }) => holding.mtu !== now);
      if (stale.length > 0) findings.push(staleMtu(stale, now));
      if (out !== undefined && now > out) findings.push(toldTooLarge(network, now, out));
    }
    return found(findings, summaryOfMtus(verifiedOf(examined(node))));
  },
};

export const ATTACHMENTS: readonly Check[] = [wired, reachable, sameMtu, currentMtu];

const known = new WeakMap<Node, Examined[]>();

/** Once for a node: four checks look at the same. */
function examined(node: Node): Examined[] {
  const all = known.get(node) ?? examineAll(node);
  known.set(node, all);
  return all;
}

function verifiedOf(examined: readonly Examined[]): Verified[] {
  return examined.flatMap((one) => (one.kind === "verified" ? [one] : []));
}

function hasClosed(examined: readonly Examined[]): boolean {
  return examined.some(({ kind }) => kind === "closed");
}

/** What is wrong with the host, and told there, is not told again for every pod. */
function common(node: Node): (difference: Difference) => boolean {
  const isOff = { 4: isForwardingOff(node, 4), 6: isForwardingOff(node, 6) };
  const isGatewayOff = isOff[4] || gatewayTrouble(node).length > 0;
  return ({ step }) => {
    if (step.kind === "gateway") return isGatewayOff;
    if (step.kind !== "sysctl" || step.on !== "host" || !/forward(ing)?$/.test(step.key)) return false;
    // The switch for all turns that of each interface with it.
    return isOff[step.key.startsWith("net/ipv4/") ? 4 : 6];
  };
}

function isOfMtu({ step, is }: Difference): boolean {
  return step.kind === "veth" && is.startsWith("MTU ");
}

function told({ holding }: Verified, { subject, is, should, restore, step }: Difference): Finding {
  const seen = `${nameOf(holding)}: ${subject} is ${is}, should be ${should}`;
  const why = is.startsWith("MAC ") ? STRANGE_MAC : CONSEQUENCES[step.kind];
  return error(seen, why, restore);
}

const STRANGE_MAC = "What is sent to the MAC that the other end knows is dropped.";

/** What the pod's users notice. */
const CONSEQUENCES: Readonly<Record<Difference["step"]["kind"], string>> = {
  veth: "The cable is not what both ends take it for: packets are lost.",
  sysctl: "The kernel treats the pod's packets otherwise than ADD told it to.",
  up: "Nothing passes an interface that is down.",
  address: "The pod does not take packets to its address for its own.",
  route: "Packets to or from the pod have no way, or a wrong one.",
  neighbour: "Packets are sent to a MAC that is not the pod's, or wait for an answer.",
  gateway: "The pod asks for its gateway, and nobody answers.",
};

function mtuNow({ document, stateDir }: Network, node: Node): number | string {
  try {
    return mtuOf({ ...document, stateDir }, node.host);
  } catch (error) {
    if (error instanceof CniError) return error.message;
    throw error;
  }
}

function staleMtu(stale: readonly Verified[], now: number): Finding {
  const names = stale.slice(0, NAMED).map(({ holding }) => nameOf(holding));
  const more = stale.length > NAMED ? ` and ${stale.length - NAMED} more` : "";
  const mtus = [...new Set(stale.map(({ holding }) => holding.mtu))].join(", ");
  const isTooLarge = stale.some(({ holding }) => holding.mtu > now);
  const why = isTooLarge ? TOO_LARGE : "They send smaller packets than they could.";
  const [first] = stale as [Verified];
  const others = stale.length > 1 ? " # and so the others" : "";
  const seen = `MTU ${mtus} on ${names.join(", ")}${more}; a new pod would get ${now}`;
  return warning(seen, why, `${makeAnew(first)}${others}`);
}

const TOO_LARGE = "Their large packets do not fit through the host's way out: transfers hang or crawl.";

/** By the configuration, or by node.json, which knows the way out as it was when that was written. */
function toldTooLarge({ name, document, part }: Network, now: number, out: number): Finding {
  const seen = `new pods of network ${name} get MTU ${now}, and the host's way out takes ${out}`;
  const anew =
    "kubectl --namespace kube-system rollout restart daemonset/slash32 # or slash32 install, as it was called";
  return warning(seen, TOO_LARGE, document.mtu ? `$EDITOR ${part?.file.path}` : anew);
}

/** What was wired stays as it was recorded; a new pod gets what is right now. */
function makeAnew({ holding: { pod, attachment } }: Verified): string {
  const [namespace, name] = pod?.split("/") ?? [];
  if (name === undefined) return `crictl stopp ${attachment.containerId}`;
  return `kubectl delete pod --namespace ${namespace} ${name}`;
}

function summaryOfMtus(verified: readonly Verified[]): string {
  const mtus = [...new Set(verified.map(({ hostEnd }) => hostEnd.mtu))];
  return mtus.length > 0 ? mtus.join(", ") : "no pods";
}
