// GC: removes what no valid attachment owns.

import { attachmentKey } from "../attachment.ts";
import { removeEndOf } from "../datapath/apply.ts";
import { attachmentNumber } from "../datapath/endpoint.ts";
import { Namespace } from "../datapath/netns.ts";
import type { Intent } from "../ipam/lease.ts";
import { Store } from "../ipam/store.ts";
import { stateDirOf } from "./endpoint.ts";
import { CniError, toCniError } from "./error.ts";
import { type Netconf, removalDocument, validAttachments } from "./netconf.ts";
import type { Request } from "./request.ts";
import { addressSource } from "./source.ts";
import { leasesInKernel } from "./witness.ts";

/**
 * Keeps the attachments that the runtime lists and removes all others of this network: recorded ones, and host
 * ends that only their alias tells of. What another verb is at work on is left to it. Goes on after a failure
 * and reports all of them at the end. Without a list it does nothing: silence is not "none are valid".
 */
export function gc(request: Request, netconf: Netconf): void {
  const document = removalDocument(netconf);
  const valid = validAttachments(netconf);
  if (valid === undefined) return;
  const kept = new Set(valid.map(attachmentKey));
  const stateDir = stateDirOf(document);
  const source = addressSource(request, netconf, document, stateDir);
  const failures: unknown[] = [];
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      failures.push(error);
    }
  };
  using host = Namespace.current();
  using store = Store.open(stateDir, netconf.name, () => leasesInKernel(host, netconf.name));

  const collect = ({ attachment, hostEnd }: Intent) => {
    using lock = store.tryLock(attachmentNumber(attachment));
    if (lock === undefined) return;
    removeEndOf(attachment, hostEnd, host);
    source.release(store, attachment);
  };
  // By attachment: what is recorded, and what only the kernel knows of.
  const found = [...leasesInKernel(host, netconf.name), ...store.list()];
  const stale = new Map(found.map((intent): [string, Intent] => [attachmentKey(intent.attachment), intent]));
  for (const key of kept) stale.delete(key);
  for (const intent of stale.values()) attempt(() => collect(intent));
  attempt(() => source.collect());
  if (failures.length > 0) throw summary(failures, netconf.name);
}

function summary(failures: readonly unknown[], network: string): CniError {
  const errors = failures.map(toCniError);
  const [first] = errors as [CniError];
  const message = `Cannot remove all that is stale in network "${network}": ${first.message}`;
  return new CniError(first.code, first.reason || "CollectionFailed", message, errors.map(String).join("\n"));
}
