// DEL: takes an attachment away, whatever is left of it.
import { removeEndOf } from "../datapath/apply.ts";
import { attachmentNumber } from "../datapath/endpoint.ts";
import { Namespace } from "../datapath/netns.ts";
import { Store } from "../ipam/store.ts";
import { hostEndOf, stateDirOf } from "./endpoint.ts";
import { type Netconf, removalDocument } from "./netconf.ts";
import { attachmentOf, type Request } from "./request.ts";
import { refuseOwnNamespace } from "./sandbox.ts";
import { addressSource } from "./source.ts";
import { leasesInKernel } from "./witness.ts";

/**
 * Success for what is gone, was never there, or whose sandbox is gone: the host end is found by the attachment
 * alone, and with it everything else goes. The sandbox, which may be another pod's by now, is never entered.
 */
export function del(request: Request, netconf: Netconf): void {
  const document = removalDocument(netconf);
  const attachment = attachmentOf(request, netconf.name);
  using host = Namespace.current();
  refuseOwnNamespace(request, host);
  using store = Store.open(stateDirOf(document), netconf.name, () => leasesInKernel(host, netconf.name));
  using _ = store.lock(attachmentNumber(attachment));
  const hostEnd = store.find(attachment)?.hostEnd ?? hostEndOf(document, attachment);
  // The kernel first: an address is free when nobody holds it any more.
  removeEndOf(attachment, hostEnd, host);
  addressSource(request, netconf, document, stateDirOf(document)).release(store, attachment);
}
