// slash32 ipam list: every address that is held, and who holds it, by what the stores say and they alone.
import { type Address, formatAddress } from "../../address.ts";
import { attachmentKey } from "../../attachment.ts";
import { Store } from "../../ipam/store.ts";
import { Exit, type Terminal } from "../command.ts";
import { addressesOf } from "../node/addresses.ts";
import { table } from "../paint.ts";
import type { Given } from "./given.ts";
import type { Scene } from "./scene.ts";

interface Held {
  readonly address: Address;
  readonly attachment: string;
  readonly pod: string | undefined;
}

/** A line each, in the order of the addresses. A store that cannot be read is exit status 1; the others are listed. */
export function list({ scene, json }: Given, { out, err }: Terminal): number {
  const complaints: string[] = [];
  const held = scene.networks().flatMap((network) => leases(network, scene, complaints));
  held.sort(({ address: a }, { address: b }) => a.family - b.family || (a.value < b.value ? -1 : 1));
  const rows = held.map(({ address, ...rest }) => ({ address: formatAddress(address), ...rest }));
  if (json) out(`${JSON.stringify({ addresses: rows }, undefined, 2)}\n`);
  else
    for (const line of table(rows.map(({ address, attachment, pod = "-" }) => [address, attachment, pod])))
      out(`${line}\n`);
  for (const complaint of complaints) err(`slash32 ipam list: ${complaint}\n`);
  return complaints.length === 0 ? Exit.ok : Exit.found;
}

function leases(network: string, { scope }: Scene, complaints: string[]): Held[] {
  if (!Store.exists(scope.stateDir, network)) return [];
  try {
    using store = Store.copy(scope.stateDir, network);
    return store.list().flatMap((holding) => {
      const { attachment, pod } = holding;
      return addressesOf(holding).map((address) => ({ address, attachment: attachmentKey(attachment), pod }));
    });
  } catch (error) {
    complaints.push((error as Error).message);
    return [];
  }
}
