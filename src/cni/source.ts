// Where an attachment's addresses come from: our own leases, or another IPAM plugin. The verbs need not know which.
import {
  type Address,
  type Family,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  samePrefix,
} from "../address.ts";
import type { Attachment } from "../attachment.ts";
import { type Delegate, DelegateError, runDelegate } from "../ipam/delegate.ts";
import type { Holding, LeaseRequest } from "../ipam/lease.ts";
import {
  type PodCidrs,
  podCidrFamily,
  type RangeConfig,
  type RangeSet,
  readRangeSets,
} from "../ipam/range.ts";
import type { Store } from "../ipam/store.ts";
import { CniError, Code } from "./error.ts";
import { type IpamConfig, type Netconf, type NetconfDocument, refuse } from "./netconf.ts";
import { nodePath, readNode } from "./node.ts";
import type { Request } from "./request.ts";
import { type Dns, narrowed, ResultError, readResult } from "./result.ts";
import type { CniVersion } from "./version.ts";

/** `ipam.type` where no other plugin is asked, which may be left out. */
const OWN = "slash32";

export interface Acquired {
  readonly addresses: readonly Address[];
  /** Further ways out that came with the addresses. */
  readonly routes: readonly Prefix[];
  readonly dns: Dns;
}

export interface AddressSource {
  /** Addresses for an attachment; the same again if it has them. All or nothing. */
  acquire(store: Store, request: Omit<LeaseRequest, "sets">): Acquired;
  /** What an earlier ADD acquired, from the record alone. */
  recall(holding: Holding): Acquired;
  /** Takes them back and forgets the attachment. What is not there is no error. */
  release(store: Store, attachment: Attachment): void;
  /** What another plugin finds wrong is thrown. */
  check(): void;
  /** Throws when no address could be given. */
  status(store: Store | undefined): void;
  /** Hands a GC on; our own leases go with their attachments. */
  collect(): void;
}

export function addressSource(
  request: Request,
  netconf: Netconf,
  document: NetconfDocument,
  stateDir: string,
): AddressSource {
  const { ipam: { type = OWN } = {} } = document;
  if (type === OWN) return ownLeases(document, stateDir);
  const { path, environment } = request;
  return otherPlugin({ type, path, environment, netconf: netconf.text }, netconf.cniVersion);
}

/**
 * The addresses asked for: by the capability `ips`, else by `args.cni.ips`, else by CNI_ARGS `IP=` (CNI conventions).
 * Throws a CniError for what is no address.
 */
export function requestedAddresses(
  { args }: Request,
  { runtimeConfig, args: { cni } = {} }: NetconfDocument,
): Address[] {
  const sources: readonly (readonly [string, readonly string[] | undefined])[] = [
    ["runtimeConfig.ips", runtimeConfig?.ips],
    ["args.cni.ips", cni?.ips],
    ["CNI_ARGS IP", args.get("IP")?.split(",").filter(Boolean)],
  ];
  const [key, texts] = sources.find(([, texts]) => texts !== undefined && texts.length > 0) ?? ["", []];
  return (texts ?? []).map((text) => {
    const address = parseAddress(text) ?? parsePrefix(text)?.address;
    if (address) return address;
    const message = `Cannot lease the requested address: ${key} is ${JSON.stringify(text)}, expected an address`;
    throw new CniError(
      key === "CNI_ARGS IP" ? Code.invalidEnvironment : Code.invalidConfig,
      "InvalidAddress",
      message,
    );
  });
}

function ownLeases(document: NetconfDocument, stateDir: string): AddressSource {
  const acquired = (addresses: readonly Address[]): Acquired => ({
    addresses,
    routes: ipamRoutes(document),
    dns: document.runtimeConfig?.dns ?? {},
  });
  return {
    acquire: (store, request) => {
      const { routes } = acquired([]); // a mistake in them is found before anything is leased
      return { ...acquired(store.acquire({ ...request, sets: rangeSets(document, stateDir) })), routes };
    },
    recall: ({ addresses }) => acquired(addresses),
    release: (store, attachment) => store.release(attachment),
    check: () => {},
    status: (store) => store?.assertAvailable(configuredRanges(document, stateDir)),
    collect: () => {},
  };
}

/** Further ways out, in the shape of host-local's. Throws a CniError 7 for what is no CIDR. */
export function ipamRoutes({ ipam = {} }: NetconfDocument): Prefix[] {
  if (!isOwn(ipam)) return [];
  return (ipam.routes ?? []).map(({ dst }, at) => routeDestination(dst, `ipam.routes[${at}].dst`));
}

/** Our own ranges without any pod's capabilities; none where they are only told with each ADD, or another gives. */
export function configuredRanges(document: NetconfDocument, stateDir: string): RangeSet[] {
  const { ipam = {} } = document;
  if (!isOwn(ipam) || (hasNoRanges(ipam) && isDeclared("ipRanges", document))) return [];
  return rangeSets(document, stateDir);
}

/** Whether we lease the addresses ourselves. */
export function isOwn({ type = OWN }: IpamConfig): boolean {
  return type === OWN;
}

function hasNoRanges({ ranges = [], subnet }: IpamConfig): boolean {
  return ranges.length === 0 && subnet === undefined;
}

/** Runtimes leave `capabilities` in what they send, though they need not. */
function isDeclared(capability: string, { capabilities = {} }: NetconfDocument): boolean {
  return Object.entries(capabilities ?? {}).some(
    ([key, value]) => key.toLowerCase() === capability.toLowerCase() && value === true,
  );
}

/** A destination in the configuration; throws a CniError 7 for what is no CIDR. */
export function routeDestination(dst: string, key: string): Prefix {
  const prefix = parsePrefix(dst);
  if (prefix === undefined) refuse([{ key, value: dst, expected: 'a CIDR such as "10.96.0.0/12"' }]);
  const network = networkOf(prefix as Prefix);
  const right = formatPrefix(network);
  if (!samePrefix(network, prefix as Prefix))
    refuse([{ key, value: dst, expected: `no host bits set: "${right}"` }]);
  return network;
}

/** The capability `ipRanges` replaces the configured ranges; `subnet` beside `ranges` is a set of its own, as in host-local. */
export function rangeSets({ ipam = {}, runtimeConfig }: NetconfDocument, stateDir: string): RangeSet[] {
  const { ranges = [], subnet } = ipam;
  const shorthand = subnet === undefined ? [] : [[ipam as RangeConfig]];
  const capability = runtimeConfig?.ipRanges;
  const configs = capability && capability.length > 0 ? capability : [...shorthand, ...ranges];
  const at = configs === capability ? "runtimeConfig.ipRanges" : "ipam.ranges";
  if (configs.length === 0) {
    const expected = 'a range, such as [[{ "subnet": "10.20.1.0/24" }]]';
    refuse([{ key: "ipam.ranges", value: ipam.ranges, expected }]);
  }
  const { sets, mistakes } = readRangeSets(configs, podCidrs(configs, stateDir), at);
  refuse(mistakes);
  return sets;
}

/** The file is read only where a range asks for it. */
function podCidrs(configs: readonly (readonly RangeConfig[])[], stateDir: string): PodCidrs {
  const wanted = new Set<Family>();
  for (const set of configs) {
    for (const { subnet } of set) {
      const family = podCidrFamily(subnet);
      if (family !== undefined) wanted.add(family);
    }
  }
  if (wanted.size === 0) return {};
  const { podCidrs } = readNode(stateDir);
  const unknown = [...wanted].find((family) => podCidrs[family] === undefined);
  if (unknown === undefined) return podCidrs;
  throw new CniError(
    Code.tryAgainLater,
    "PodCidrUnknown",
    `Cannot lease an address: the node's IPv${unknown} pod CIDR is not in ${nodePath(stateDir)}; ` +
      "wait for the installer or agent to write it, or name the subnet in the configuration",
  );
}

function otherPlugin(delegate: Delegate, cniVersion: CniVersion): AddressSource {
  const read = (answer: unknown): Acquired => {
    const { ips, routes, dns } = readAnswer(answer, delegate, cniVersion);
    const destinations = routes.map(({ dst }) => networkOf(parsePrefix(dst) as Prefix));
    return { addresses: narrowed(ips).map(({ address }) => address), routes: destinations, dns };
  };
  // Killed while it runs, we leave it running: until it has ended the attachment is locked.
  const holding = ({ descriptor }: Store): Delegate => ({ ...delegate, inherited: descriptor });
  const recall = ({ delegated, addresses }: Holding): Acquired => {
    // A store that was lost has from the kernel what it had from the plugin: the addresses alone.
    return delegated === undefined ? { addresses, routes: [], dns: {} } : read(JSON.parse(delegated));
  };
  const takeBack = (store: Store, { containerId, ifName }: Attachment) => {
    runDelegate(holding(store), "DEL", { CNI_CONTAINERID: containerId, CNI_IFNAME: ifName });
  };
  return {
    acquire(store, request) {
      const known = store.find(request.attachment);
      if (known && (known.delegated !== undefined || known.addresses.length > 0)) {
        store.register(request); // the MTU may be another by now
        return recall(known);
      }
      // An ADD that was killed may have had its answer: the plugin has to forget it before it is asked again.
      if (known) takeBack(store, request.attachment);
      try {
        store.register(request);
        const answer = runDelegate(holding(store), "ADD");
        const acquired = read(answer);
        store.keepDelegated(request, JSON.stringify(answer));
        return acquired;
      } catch (error) {
        giveUp(() => takeBack(store, request.attachment));
        giveUp(() => store.release(request.attachment));
        throw error;
      }
    },
    recall,
    release(store, attachment) {
      // Void before it is taken back: killed in between, no later ADD may go by what the plugin has forgotten.
      store.forgetDelegated(attachment);
      takeBack(store, attachment);
      store.release(attachment);
    },
    check: () => void runDelegate(delegate, "CHECK"),
    status: () => void runDelegate(delegate, "STATUS"),
    collect: () => void runDelegate(delegate, "GC"),
  };
}

function readAnswer(answer: unknown, { type }: Delegate, cniVersion: CniVersion) {
  try {
    const result = readResult(answer, cniVersion);
    if (result.ips.length > 0) return result;
    throw new ResultError("Cannot read a result: it has no addresses");
  } catch (error) {
    if (!(error instanceof ResultError)) throw error;
    throw new DelegateError(`Cannot use the answer of IPAM plugin "${type}" to ADD: ${error.message}`);
  }
}

/** On the way out of a failure: the failure is what is reported, and DEL comes to finish what this could not. */
function giveUp(work: () => void): void {
  try {
    work();
  } catch {
    // See above.
  }
}
