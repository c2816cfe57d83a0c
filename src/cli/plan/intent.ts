// What ADD would do, found out without doing it.
import { type Address, formatAddress, samePrefix } from "../../address.ts";
import { type Attachment, attachmentKey } from "../../attachment.ts";
import { refuseForeign } from "../../cni/add.ts";
import { endpointOf, hostEndOf, mtuOf, stateDirOf } from "../../cni/endpoint.ts";
import { type Netconf, type NetconfDocument, validDocument } from "../../cni/netconf.ts";
import { attachmentOf, podOf, type Request } from "../../cni/request.ts";
import { openSandbox } from "../../cni/sandbox.ts";
import { type Acquired, addressSource, requestedAddresses } from "../../cni/source.ts";
import { leasesInKernel } from "../../cni/witness.ts";
import type { Sides } from "../../datapath/apply.ts";
import { findLink, isAddressInUse } from "../../datapath/host.ts";
import { Namespace } from "../../datapath/netns.ts";
import { decodeRoute, listRoutes } from "../../datapath/rtnetlink/route.ts";
import type { Step, StepOf } from "../../datapath/step.ts";
import { verify } from "../../datapath/verify.ts";
import { wiring } from "../../datapath/wiring.ts";
import type { Intent } from "../../ipam/lease.ts";
import { Store } from "../../ipam/store.ts";

export interface Plan {
  readonly attachment: Attachment;
  readonly netns: string;
  /** Where the addresses come from, for people. */
  readonly lease: string;
  /** What ADD would find half made, and remove before it begins. */
  readonly leftover: string | undefined;
  /** Empty when ADD would find everything as it should be. */
  readonly steps: readonly Step[];
  /** Those of the steps that another interface's route may stand in for. */
  readonly doubtful: ReadonlySet<Step>;
}

/**
 * What ADD would do now. Throws what ADD would refuse, so far as it can be seen beforehand. `given` are the addresses
 * that another IPAM plugin would give: it is not asked, as asking is leasing.
 */
export function planAdd(request: Request, netconf: Netconf, given: readonly Address[]): Plan {
  const document = validDocument(netconf);
  const attachment = attachmentOf(request, netconf.name);
  using host = Namespace.current();
  using sandbox = openSandbox(request, host);
  const sides = { host, sandbox };
  const mtu = mtuOf(document, host);
  const hostEnd = hostEndOf(document, attachment);
  const intent = { attachment, hostEnd, mtu, pod: podOf(request) };
  const { acquired, lease } = addresses(request, netconf, document, intent, host, given);

  const steps = wiring(endpointOf(request, document, attachment, acquired, mtu));
  const found = { attachment, netns: request.netns, lease };
  const leftover = findLink(host, hostEnd);
  if (leftover && verify(steps, sides).length === 0) {
    return { ...found, leftover: undefined, steps: [], doubtful: new Set() };
  }
  refuseForeign(request.ifName, leftover?.peerIndex, sides);
  return { ...found, leftover: leftover?.name, steps, doubtful: routedAlready(steps, sides) };
}

/** The lease ADD would take, taken from a copy of the store. */
function addresses(
  request: Request,
  netconf: Netconf,
  document: NetconfDocument,
  intent: Intent,
  host: Namespace,
  given: readonly Address[],
): { acquired: Acquired; lease: string } {
  const stateDir = stateDirOf(document);
  const requested = requestedAddresses(request, document);
  const source = addressSource(request, netconf, document, stateDir);
  using store = Store.copy(stateDir, netconf.name, () => leasesInKernel(host, netconf.name));
  const known = store.find(intent.attachment);
  const type = document.ipam?.type ?? "slash32";
  if (type !== "slash32") {
    const acquired = known?.delegated === undefined ? undefined : source.recall(known);
    if (acquired) return { acquired, lease: `${words(acquired)}, which ${type} has given already` };
    if (given.length === 0) throw unknowable(type);
    const assumed = { addresses: given, routes: [], dns: {} };
    return { acquired: assumed, lease: `${words(assumed)}, if that is what ${type} gives` };
  }
  const isInUse = (address: Address) => isAddressInUse(host, address);
  const acquired = source.acquire(store, { ...intent, requested, isInUse });
  const isHeld = known !== undefined && known.addresses.length > 0;
  const how = isHeld ? `which ${attachmentKey(intent.attachment)} holds already` : "the next that is free";
  return { acquired, lease: `${words(acquired)}, ${requested.length > 0 && !isHeld ? "as asked for" : how}` };
}

function words({ addresses }: Acquired): string {
  return addresses.map(formatAddress).join(" and ");
}

function unknowable(type: string): Error {
  return new Error(
    `Cannot tell the addresses: IPAM plugin "${type}" gives them, and asking it is leasing; give --address ADDRESS`,
  );
}

function routedAlready(steps: readonly Step[], { sandbox }: Sides): Set<Step> {
  const present = ([4, 6] as const).flatMap((family) =>
    sandbox.netlink.dump(listRoutes(family)).map(decodeRoute),
  );
  const isDoubtful = (step: Step): step is StepOf<"route"> => {
    return (
      step.kind === "route" && step.ifAbsent === true && present.some(({ dst }) => samePrefix(dst, step.dst))
    );
  };
  return new Set(steps.filter(isDoubtful));
}
