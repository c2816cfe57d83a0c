// An endpoint: an attachment with everything the kernel must hold for it.
import { type Address, type Family, type Prefix, parseAddress } from "../address.ts";
import { type Attachment, attachmentKey } from "../attachment.ts";
import { sha1 } from "../sha1.ts";
import { formatMac } from "./rtnetlink/link.ts";

/** Every host end has the same MAC: nobody ever sees two of them on one wire. */
export const HOST_MAC = "ee:ee:ee:ee:ee:ee";

/**
 * Where a sandbox sends everything. IPv4: an address nobody owns, answered by proxy ARP. IPv6: the link-local
 * address that the kernel derives from HOST_MAC (RFC 4291, appendix A), so the host end itself answers.
 */
export const GATEWAY: Record<Family, Address> = {
  4: parseAddress("169.254.1.1") as Address,
  // fe80::ecee:eeff:feee:eeee; reading it would take every verb as long as a netlink exchange.
  6: { family: 6, value: 0xfe80_0000_0000_0000_ecee_eeff_feee_eeeen },
};

/** Marks our routes on the host: `ip route show proto 32` lists every pod. */
export const ROUTE_PROTOCOL = 32;

/** IFNAMSIZ without the NUL. */
export const LONGEST_NAME = 15;
const HASH_DIGITS = 11;
/** What a prefix of host end names may take, so that the hash still fits. */
export const LONGEST_PREFIX = LONGEST_NAME - HASH_DIGITS;
// IFALIASZ without the NUL (include/uapi/linux/if.h).
const LONGEST_ALIAS = 255;

/** How the sandbox learns the gateway's MAC; "auto" pins it only where proxy ARP would not answer. */
export type GatewayNeighbour = "auto" | "proxy-arp" | "permanent";

/** A way out of the sandbox; always through the gateway. */
export interface SandboxRoute {
  readonly dst: Prefix;
  readonly mtu?: number;
  readonly metric?: number;
}

export interface Endpoint {
  readonly attachment: Attachment;
  readonly hostEnd: string;
  readonly sandboxMac: string;
  /** At most one of each family is usual; each is held as /32 or /128. */
  readonly addresses: readonly Address[];
  readonly routes: readonly SandboxRoute[];
  readonly mtu: number;
  readonly alias: string;
  readonly allowIpForwarding: boolean;
  readonly gatewayNeighbour: GatewayNeighbour;
}

/**
 * The host end's name: the prefix and 11 hex digits of SHA-1 of the attachment. A pure function, so DEL and GC
 * find it without a sandbox; never shared with a re-created pod of the same name.
 */
export function hostEndName(prefix: string, attachment: Attachment): string {
  return prefix + digest(attachment).slice(0, HASH_DIGITS);
}

/**
 * The sandbox end's MAC unless another is asked for: unicast, locally administered, a pure function too, so
 * that a plan can name it. Given at creation, it is never rewritten by udev.
 */
export function sandboxMac(attachment: Attachment): string {
  const bytes = Uint8Array.fromHex(digest(attachment).slice(-12));
  bytes[0] = ((bytes[0] as number) & 0xfc) | 0x02;
  return formatMac(bytes);
}

/** How the alias of every host end begins. */
export const ALIAS_MARK = "slash32 ";

/** What `ip link` shows beside the host end. Begins with `aliasPrefix`; cut where the kernel would refuse it. */
export function hostEndAlias(attachment: Attachment, pod: string | undefined): string {
  const words = `${ALIAS_MARK}${attachmentKey(attachment)}${pod === undefined ? "" : ` pod ${pod}`}`;
  // Only ASCII passes the checks of container IDs and names; a pod's label may be anything.
  return words.replace(/[^\x20-\x7e]/g, "?").slice(0, LONGEST_ALIAS);
}

/** How the alias of every host end of a network begins. */
export function aliasPrefix(network: string): string {
  return `${ALIAS_MARK}${network}/`;
}

/**
 * Whose host end this is, from its alias: the reverse of `hostEndAlias`. `undefined` for an alias that was cut, or that
 * anybody else wrote: the interface's name has to be the attachment's.
 */
export function ownerOf(
  hostEnd: string,
  alias = "",
): { attachment: Attachment; pod: string | undefined } | undefined {
  const [, network, containerId, ifName, pod] =
    /^slash32 ([^/ ]+)\/([^/ ]+)\/([^/ ]+)(?: pod (.+))?$/.exec(alias) ?? [];
  if (network === undefined || containerId === undefined || ifName === undefined) return undefined;
  const attachment = { network, containerId, ifName };
  return hostEnd === hostEndName(hostEnd.slice(0, -HASH_DIGITS), attachment)
    ? { attachment, pod }
    : undefined;
}

/** Whether this is the alias of the attachment's host end. Not of one that was cut: it may be another's. */
export function isAliasOf(attachment: Attachment, alias = ""): boolean {
  const words = hostEndAlias(attachment, undefined);
  return words.length < LONGEST_ALIAS && (alias === words || alias.startsWith(`${words} pod `));
}

/** 64 bits of the same digest, for locks: equal attachments have equal numbers. */
export function attachmentNumber(attachment: Attachment): bigint {
  return BigInt(`0x${digest(attachment).slice(0, 16)}`);
}

const digests = new WeakMap<Attachment, string>();

/** In hex; made once for each attachment. */
function digest(attachment: Attachment): string {
  const known = digests.get(attachment);
  if (known !== undefined) return known;
  const made = sha1(attachmentKey(attachment));
  digests.set(attachment, made);
  return made;
}
