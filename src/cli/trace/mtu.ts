// How long a packet may be.
import type { Station } from "./station.ts";

/** What both ends of a pod's cable should have: what ADD gave them, else the smaller of the two. */
export function wantedMtu({ pod, hostEnd, inside }: Station): number {
  const seen = [hostEnd?.mtu, inside?.end.mtu].filter((mtu) => mtu !== undefined);
  // A pair that agrees works, whatever was asked for once.
  if (new Set(seen).size <= 1) return seen[0] ?? 0;
  return pod.mtu !== undefined && seen.includes(pod.mtu) ? pod.mtu : Math.min(...seen);
}
