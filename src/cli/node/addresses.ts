// The addresses of a pod, whoever gave them.
import { type Address, parseAddress } from "../../address.ts";
import type { Holding } from "../../ipam/lease.ts";

/** Leased by us, or given by another IPAM plugin. */
export function addressesOf({ addresses, delegated }: Holding): readonly Address[] {
  return [...addresses, ...(delegated === undefined ? [] : addressesIn(delegated))];
}

/** The addresses in another IPAM plugin's answer, of any version: `ips[].address`, before 0.3.0 `ip4.ip` and `ip6.ip`. */
function addressesIn(answer: string): Address[] {
  const { ips = [], ip4, ip6 } = JSON.parse(answer);
  const texts: unknown[] = [...ips.map(({ address }: { address?: unknown }) => address), ip4?.ip, ip6?.ip];
  return texts.flatMap((text) => {
    return typeof text === "string" ? (parseAddress(text.split("/")[0] ?? "") ?? []) : [];
  });
}
