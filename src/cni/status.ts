// STATUS: whether an ADD could be served now. Polled every few seconds: it is cheap and leaves no traces.
import type { Family } from "../address.ts";
import { findLink } from "../datapath/host.ts";
import { Namespace } from "../datapath/netns.ts";
import { readSysctl } from "../datapath/sysctl.ts";
import type { Holding } from "../ipam/lease.ts";
import { assertWritable, Store } from "../ipam/store.ts";
import { assertServable, stateDirOf, toldMtu } from "./endpoint.ts";
import { CniError, Code, toCniError } from "./error.ts";
import { type Netconf, validDocument } from "./netconf.ts";
import type { Request } from "./request.ts";
import { type AddressSource, addressSource } from "./source.ts";
import { leasesInKernel } from "./witness.ts";

/** Throws a CniError 50 when no ADD could be served, 51 when pods that are there suffer as well. */
export function status(request: Request, netconf: Netconf): void {
  const document = validDocument(netconf);
  const stateDir = stateDirOf(document);
  const source = addressSource(request, netconf, document, stateDir);
  try {
    assertServable(document, stateDir, toldMtu(document, stateDir));
    assertWritable(stateDir, netconf.name);
    if (!Store.exists(stateDir, netconf.name)) source.status(undefined);
    else {
      using host = Namespace.current();
      // A store that is damaged is none that ADD could not go on with.
      using store = Store.read(stateDir, netconf.name, () => leasesInKernel(host, netconf.name));
      source.status(store);
      assertForwarding(store, source, host);
    }
  } catch (error) {
    throw notReady(toCniError(error));
  }
}

const FORWARDING: Readonly<Record<Family, string>> = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
};

/** That it is off, cuts off every pod of the family. The first ADD switches it on, before its host end goes up. */
function assertForwarding(store: Store, source: AddressSource, host: Namespace): void {
  const isCutOff = (held: Holding, family: Family) =>
    source.recall(held).addresses.some((address) => address.family === family) &&
    findLink(host, held.hostEnd)?.up === true;
  for (const family of [4, 6] as const) {
    if (readSysctl(host, FORWARDING[family]) !== "0") continue;
    if (!store.list().some((held) => isCutOff(held, family))) continue;
    const setting = FORWARDING[family].replaceAll("/", ".");
    const message = `Cannot forward packets of pods: ${setting} is 0; sysctl -w ${setting}=1`;
    throw new CniError(Code.notReadyAndLimited, "ForwardingOff", message);
  }
}

/** A delegate's own word on its status is passed on; a wrong configuration stays one. */
function notReady(error: CniError): CniError {
  const isFinal =
    error.reason === "" || error.code === Code.invalidConfig || error.code === Code.notReadyAndLimited;
  if (isFinal) return error;
  return new CniError(Code.notReady, error.reason, error.message, error.details, { cause: error });
}
