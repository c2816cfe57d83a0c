// What was seen of an attachment, and what was done about it, whatever it is that stands in the way.
import { attachmentKey } from "../../attachment.ts";
import { DEFAULT_STATE_DIR } from "../../cni/netconf.ts";
import { findLink } from "../../datapath/host.ts";
import type { Difference } from "../../datapath/verify.ts";
import type { Holding } from "../../ipam/lease.ts";
import { Store } from "../../ipam/store.ts";
import { word } from "../../shell.ts";
import { examine } from "../node/attachment.ts";
import type { Network, Node } from "../node/node.ts";
import { type Pod, podOf, strangers } from "../pods.ts";

/** An attachment that may be asked for; without `lease` the kernel alone knows of it. */
export interface Candidate {
  readonly pod: Pod;
  readonly lease?: { readonly holding: Holding; readonly network: Network } | undefined;
}

/** One thing that is not as ADD left it. */
export interface Seen extends Pick<Difference, "subject" | "is" | "should" | "restore"> {
  /** Why --repair left it as it is. */
  readonly refusal?: string;
}

export interface Look {
  readonly pod: Pod;
  /** "busy": ADD or DEL is at work on it; "closed": its sandbox cannot be looked into. */
  readonly state: "fine" | "differs" | "busy" | "closed";
  readonly reason?: string;
  readonly sandbox?: string;
  /** As they are now. */
  readonly differences: readonly Seen[];
  readonly mended: readonly Mended[];
}

/** What --repair has done; without a command it had mended itself meanwhile. */
export interface Mended extends Pick<Difference, "subject" | "is" | "should"> {
  readonly command?: string;
}

/** By network, and then those that have a host end and no lease. Networks whose store cannot be read are left out. */
export function candidates(node: Node): Candidate[] {
  const leased = node.networks().flatMap((network): Candidate[] => {
    const { stored } = network;
    if (stored.kind !== "read") return [];
    return stored.holdings.map((holding) => ({ pod: podOf(holding), lease: { holding, network } }));
  });
  const unread = new Set(
    node.networks().flatMap(({ name, stored }) => (stored.kind === "unreadable" ? [name] : [])),
  );
  const others = strangers(
    node.host,
    leased.map(({ pod }) => pod),
  ).filter(({ attachment }) => !unread.has(attachment?.network ?? ""));
  return [...leased, ...others.map((pod) => ({ pod }))];
}

/** Stores that cannot be read. */
export function complaints(node: Node): string[] {
  return node.networks().flatMap(({ stored }) => (stored.kind === "unreadable" ? [stored.seen] : []));
}

/** Nothing is wrong, so far as can be told: what a verb is at work on is for that verb. */
export function isFine({ state }: Look): boolean {
  return state === "fine" || state === "busy";
}

/** Looks at it, and mends what can be mended if that is wanted. `undefined` when it is gone meanwhile. */
export function look({ pod, lease }: Candidate, node: Node, repair: boolean): Look | undefined {
  const nothing = { pod, differences: [], mended: [] };
  const known = lease ?? leasedMeanwhile(pod, node);
  if (known === undefined) {
    if (findLink(node.host, pod.hostEnd) === undefined) return undefined;
    return { ...nothing, state: "differs", differences: [unleased(pod, node)] };
  }
  const examined = examine(known.holding, known.network, node, repair);
  if (examined === undefined) return undefined;
  switch (examined.kind) {
    case "busy":
      return { ...nothing, state: "busy", reason: "ADD or DEL is at work on it" };
    case "closed":
      return { ...nothing, state: "closed", reason: examined.reason };
    case "unwired": {
      const { subject, is, should } = examined;
      return { ...nothing, state: "differs", differences: [{ subject, is, should, restore: WIRE_ANEW }] };
    }
    case "verified":
      break;
  }
  const { differences, attempts, sandboxPath } = examined;
  const refusals = new Map(attempts.map(({ difference, refusal }) => [difference.subject, refusal]));
  const left = differences.map((seen): Seen => {
    const refusal = refusals.get(seen.subject);
    return { ...told(seen), ...(refusal === undefined ? {} : { refusal }) };
  });
  const lost = pod.addresses.length === 0 ? [unleased(pod, node)] : [];
  const all = [...lost, ...left];
  const mended = attempts
    .filter(({ refusal }) => refusal === undefined)
    .map(({ difference: { subject, is, should }, command }): Mended => {
      return { subject, is, should, ...(command === undefined ? {} : { command }) };
    });
  const state = all.length === 0 ? "fine" : "differs";
  return { pod, state, sandbox: sandboxPath, differences: all, mended };
}

/** An ADD may have come between reading the stores and looking at the links. */
function leasedMeanwhile({ attachment }: Pod, node: Node): Candidate["lease"] {
  const network = node.networks().find(({ name }) => name === attachment?.network);
  if (attachment === undefined || network === undefined) return undefined;
  if (!Store.exists(network.stateDir, network.name)) return undefined;
  using store = Store.read(network.stateDir, network.name);
  const holding = store.find(attachment);
  return holding && { holding, network };
}

const WIRE_ANEW = "# delete the pod: its runtime wires a new one";

/** A cable that is missing an end cannot be made in place of another: its own command would not do. */
function told({ subject, is, should, restore, step, remedy }: Difference): Seen {
  const isCable = step.kind === "veth" && remedy === undefined;
  return { subject, is, should, restore: isCable ? WIRE_ANEW : restore };
}

function unleased({ attachment }: Pod, node: Node): Seen {
  const [stateDir = DEFAULT_STATE_DIR] = node.stateDirs();
  const where = stateDir === DEFAULT_STATE_DIR ? "" : ` --state-dir ${word(stateDir)}`;
  const restore = attachment ? `slash32 ipam repair${where}` : WIRE_ANEW;
  const should = attachment ? `held by ${attachmentKey(attachment)}` : "there";
  return { subject: "lease", is: "missing", should, restore };
}
