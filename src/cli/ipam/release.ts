// slash32 ipam release: DEL by hand, for an attachment that no runtime knows any more.
import { type Address, formatAddress, parseAddress, sameAddress } from "../../address.ts";
import { type Attachment, attachmentKey } from "../../attachment.ts";
import { remove } from "../../datapath/apply.ts";
import { attachmentNumber } from "../../datapath/endpoint.ts";
import { findLink, isAddressInUse } from "../../datapath/host.ts";
import { Store } from "../../ipam/store.ts";
import { Exit, type Terminal, UsageError } from "../command.ts";
import { addressesOf } from "../node/addresses.ts";
import type { Given } from "./given.ts";
import type { Scene } from "./scene.ts";

/**
 * Waits for a verb that is at work on it. What the kernel still uses is refused, unless it is to be forced: then the
 * host end goes first. What is not there is exit status 1: a name was mistyped.
 */
export function release({ scene, operands, force, json }: Given, { out }: Terminal): number {
  const attachment = find(operands.join(" "), scene);
  const { network } = attachment;
  const key = attachmentKey(attachment);
  const end = scene.ends(network).get(key)?.link.name;
  const { stateDir } = scene.scope;
  if (!Store.exists(stateDir, network) && end === undefined) throw unknown(key);
  using store = scene.open(network);
  using _ = store.lock(attachmentNumber(attachment));
  const holding = store.find(attachment);
  if (holding === undefined && end === undefined) throw unknown(key);
  if (holding?.delegated !== undefined) {
    throw new Error(
      `Cannot release ${key}: another IPAM plugin gave its address; run its DEL, or the runtime's`,
    );
  }
  const name = holding?.hostEnd ?? end;
  const use = usedBy(name, holding ? addressesOf(holding) : [], scene);
  if (use !== undefined && !force) {
    throw new Error(`Cannot release ${key}: ${use}; delete the pod, or --force`);
  }
  // The kernel first: an address is free when nobody holds it any more.
  const commands = name !== undefined && remove(name, scene.host) ? [`ip link delete ${name}`] : [];
  store.release(attachment);
  if (json) out(`${JSON.stringify({ commands, released: key }, undefined, 2)}\n`);
  else out([...commands, `released ${key}`].map((line) => `${line}\n`).join(""));
  return Exit.ok;
}

/** By its name, or by the one address that is asked for. */
function find(text: string, scene: Scene): Attachment {
  const address = parseAddress(text);
  if (address) return holderOf(address, scene);
  const [network = "", containerId = "", ifName = "", ...rest] = text.split("/");
  if (!network || !containerId || !ifName || rest.length > 0) {
    throw new UsageError(`ipam release ${text}: expected an address, or NETWORK/CONTAINER/INTERFACE`);
  }
  return { network, containerId, ifName };
}

function holderOf(address: Address, scene: Scene): Attachment {
  const holders = scene.networks().flatMap((network) => {
    if (!Store.exists(scene.scope.stateDir, network)) return [];
    using store = Store.read(scene.scope.stateDir, network);
    return store.list().filter((holding) => addressesOf(holding).some((held) => sameAddress(held, address)));
  });
  const [holder] = holders;
  if (holder === undefined) throw unknown(formatAddress(address));
  if (holders.length === 1) return holder.attachment;
  const names = holders.map(({ attachment }) => attachmentKey(attachment)).join(" and ");
  throw new UsageError(`${formatAddress(address)} is held by ${names}: say which`);
}

function unknown(what: string): Error {
  return new Error(`Cannot release ${what}: nobody knows it`);
}

/** What in the kernel speaks for somebody using it. */
function usedBy(
  name: string | undefined,
  addresses: readonly Address[],
  { host }: Scene,
): string | undefined {
  if (name !== undefined && findLink(host, name)) return `its host end ${name} is there`;
  const routed = addresses.find((address) => isAddressInUse(host, address));
  return routed && `the host has ${formatAddress(routed)} in use`;
}
