// ADD: one interface, one address of each range set, and one way out of the sandbox: through the host.

import { formatAddress, formatPrefix, hostPrefix } from "../address.ts";
import { apply, findEndsOf, remove, type Sides } from "../datapath/apply.ts";
import { attachmentNumber, type Endpoint, GATEWAY, HOST_MAC } from "../datapath/endpoint.ts";
import { findLink, isAddressInUse } from "../datapath/host.ts";
import { Namespace } from "../datapath/netns.ts";
import type { Step } from "../datapath/step.ts";
import { verify } from "../datapath/verify.ts";
import { wiring } from "../datapath/wiring.ts";
import { Store } from "../ipam/store.ts";
import { endpointOf, hostEndOf, mtuOf, stateDirOf } from "./endpoint.ts";
import { CniError, Code } from "./error.ts";
import { type Netconf, validDocument } from "./netconf.ts";
import { attachmentOf, podOf, type Request } from "./request.ts";
import { type Dns, mergedDns, type Result, readResult, resultIp } from "./result.ts";
import { openSandbox } from "./sandbox.ts";
import { addressSource, requestedAddresses } from "./source.ts";
import { leasesInKernel } from "./witness.ts";

/** Attaches the sandbox. Twice is as once: what is there and right is left, what is half made is made anew. */
export function add(request: Request, netconf: Netconf): Result {
  const document = validDocument(netconf);
  const attachment = attachmentOf(request, netconf.name);
  const previous = readPrevious(document.prevResult, netconf);
  const requested = requestedAddresses(request, document);
  using host = Namespace.current();
  using sandbox = openSandbox(request, host);
  const sides = { host, sandbox };
  const mtu = mtuOf(document, host);
  const hostEnd = hostEndOf(document, attachment);
  using store = Store.open(stateDirOf(document), netconf.name, () => leasesInKernel(host, netconf.name));
  using _ = store.lock(attachmentNumber(attachment));
  using undo = new DisposableStack(); // last, so that it runs while all the above is open

  const source = addressSource(request, netconf, document, stateDirOf(document));
  const leftover = findLink(host, hostEnd);
  const isInUse = (address: Parameters<typeof isAddressInUse>[1]) => isAddressInUse(host, address);
  const acquired = source.acquire(store, {
    attachment,
    hostEnd,
    pod: podOf(request),
    requested,
    isInUse,
    mtu,
  });
  const giveBack = () => {
    // What an earlier ADD wired stays leased, whatever becomes of this one and whoever has renamed the host end.
    if (findEndsOf(attachment, host).length === 0) source.release(store, attachment);
  };
  if (leftover === undefined) undo.defer(giveBack);

  const endpoint = endpointOf(request, document, attachment, acquired, mtu);
  const steps = wiring(endpoint);
  const dns = mergedDns(document.dns, acquired.dns);
  if (leftover !== undefined) {
    if (verify(steps, sides).length === 0)
      return resultOf(request, endpoint, absent(steps, sides), dns, previous);
    refuseForeign(request.ifName, leftover.peerIndex, sides);
    remove(hostEnd, host);
    undo.defer(giveBack);
  }
  const skipped = apply(steps, sides);
  undo.move(); // done: nothing is left to undo
  return resultOf(request, endpoint, skipped, dns, previous);
}

/** As a later member of a chain, what stands already is kept and comes first. */
function readPrevious(prevResult: unknown, { cniVersion }: Netconf): Result {
  if (prevResult === undefined || prevResult === null)
    return { interfaces: [], ips: [], routes: [], dns: {} };
  try {
    return readResult(prevResult, cniVersion);
  } catch (error) {
    const message = `Cannot use prevResult: ${(error as Error).message}`;
    throw new CniError(Code.invalidConfig, "InvalidPrevResult", message, undefined, { cause: error });
  }
}

/** An interface of that name which is not our cable's other end is somebody's: nothing is touched for it. */
export function refuseForeign(ifName: string, peerIndex: number | undefined, { sandbox }: Sides): void {
  const taken = findLink(sandbox, ifName);
  if (taken === undefined || taken.index === peerIndex) return;
  const message = `Cannot add ${ifName} to the sandbox: it has an interface of that name; remove it, or set CNI_IFNAME`;
  throw new CniError(Code.kernelRefused, "InterfaceExists", message);
}

/** Of a complete wiring, the routes that another interface's stand in for. */
function absent(steps: readonly Step[], sides: Sides): Step[] {
  const strict = steps.map((step) => (step.kind === "route" ? { ...step, ifAbsent: false } : step));
  return verify(strict, sides).map(
    ({ step }) => steps[strict.indexOf(step as (typeof strict)[number])] as Step,
  );
}

/** Host end first, as Calico has it; what another interface's route stands in for is not claimed. */
function resultOf(
  { ifName, netns }: Request,
  { hostEnd, sandboxMac, mtu, addresses, routes }: Endpoint,
  skipped: readonly Step[],
  dns: Dns,
  previous: Result,
): Result {
  const families = addresses.map(({ family }) => family);
  const isClaimed = ({ dst }: Endpoint["routes"][number]) =>
    families.includes(dst.address.family) &&
    !skipped.some((step) => step.kind === "route" && step.dst === dst);
  const index = previous.interfaces.length + 1;
  return {
    interfaces: [
      ...previous.interfaces,
      { name: hostEnd, mac: HOST_MAC, mtu },
      { name: ifName, mac: sandboxMac, mtu, sandbox: netns },
    ],
    ips: [...previous.ips, ...addresses.map((address) => resultIp(hostPrefix(address), index))],
    routes: [
      ...previous.routes,
      ...routes.filter(isClaimed).map(({ dst, mtu, metric }) => ({
        dst: formatPrefix(dst),
        gw: formatAddress(GATEWAY[dst.address.family]),
        ...(mtu === undefined ? {} : { mtu }),
        ...(metric === undefined ? {} : { priority: metric }),
      })),
    ],
    dns: mergedDns(dns, previous.dns),
  };
}
