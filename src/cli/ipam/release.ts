// slash32 ipam release: DEL by hand, for an attachment that no runtime knows any more.
import { attachmentKey } from "../../attachment.ts";
import { remove } from "../../datapath/apply.ts";
import { attachmentNumber } from "../../datapath/endpoint.ts";
import { Store } from "../../ipam/store.ts";
import { Exit, type Terminal, UsageError } from "../command.ts";
import type { Given } from "./given.ts";

/** Waits for a verb that is at work on it. What is not there is exit status 1: a name was mistyped. */
export function release({ scene, operands }: Given, { out }: Terminal): number {
  const [network = "", containerId = "", ifName = "", ...rest] = operands.join(" ").split("/");
  if (!network || !containerId || !ifName || rest.length > 0) {
    throw new UsageError(`ipam release ${operands.join(" ")}: expected NETWORK/CONTAINER/INTERFACE`);
  }
  const attachment = { network, containerId, ifName };
  const key = attachmentKey(attachment);
  const end = scene.ends(network).get(key)?.link.name;
  const { stateDir } = scene.scope;
  if (!Store.exists(stateDir, network) && end === undefined)
    throw new Error(`Cannot release ${key}: nobody knows it`);
  using store = Store.open(stateDir, network);
  using _ = store.lock(attachmentNumber(attachment));
  const holding = store.find(attachment);
  if (holding === undefined && end === undefined) throw new Error(`Cannot release ${key}: nobody knows it`);
  if (holding?.delegated !== undefined) {
    throw new Error(
      `Cannot release ${key}: another IPAM plugin gave its address; run its DEL, or the runtime's`,
    );
  }
  const name = holding?.hostEnd ?? end;
  // The kernel first: an address is free when nobody holds it any more.
  if (name !== undefined && remove(name, scene.host)) out(`ip link delete ${name}\n`);
  store.release(attachment);
  out(`released ${key}\n`);
  return Exit.ok;
}
