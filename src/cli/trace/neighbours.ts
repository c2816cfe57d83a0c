// What a namespace knows of a neighbour.
import type { Address } from "../../address.ts";
import type { Namespace } from "../../datapath/netns.ts";
import type { Device } from "../../datapath/rtnetlink/link.ts";
import { decodeNeighbour, getNeighbour, type Neighbour } from "../../datapath/rtnetlink/neighbour.ts";

/** `undefined` when the namespace never asked for it, or has forgotten. */
export function findNeighbour(namespace: Namespace, address: Address, dev: Device): Neighbour | undefined {
  const [outcome] = namespace.netlink.exchange([getNeighbour(address, dev)]);
  if (outcome?.error && outcome.error.code !== "ENOENT") throw outcome.error;
  const [message] = outcome?.messages ?? [];
  return message && decodeNeighbour(message);
}

/** "ee:ee:ee:ee:ee:ee PERMANENT", "FAILED". */
export function neighbourWords({ mac, state }: Neighbour): string {
  return mac ? `${mac} ${state}` : state;
}

/** Whether packets wait in vain: nobody has answered. */
export function isUnanswered({ state }: Neighbour): boolean {
  return state === "FAILED" || state === "INCOMPLETE";
}
