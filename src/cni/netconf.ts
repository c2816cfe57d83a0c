// The network configuration: what stands on standard input. CNI specification, section 1.
import type { Attachment } from "../attachment.ts";
import type { GatewayNeighbour } from "../datapath/endpoint.ts";
import { validateNetconf } from "../generated/validators.ts";
import type { Mistake, RangeConfig } from "../ipam/range.ts";
import { CniError, Code } from "./error.ts";
import { describeMistake, mistakesIn } from "./mistake.ts";
import { isPlainName } from "./request.ts";
import type { Dns } from "./result.ts";
import { type CniVersion, isSupported, SUPPORTED_VERSIONS } from "./version.ts";

export const DEFAULT_STATE_DIR = "/run/slash32";
export const DEFAULT_PREFIX = "cali";
/** The network's name is a directory's, and begins every alias. */
const LONGEST_NETWORK_NAME = 200;

/** The keys as the schema has them (schemas/netconf.schema.json), after validation. */
export interface NetconfDocument {
  readonly cniVersion?: string;
  readonly name: string;
  readonly mtu?: number;
  readonly hostInterfacePrefix?: string;
  readonly stateDir?: string;
  readonly allowIpForwarding?: boolean;
  readonly gatewayNeighbour?: GatewayNeighbour;
  readonly routes?: readonly { dst: string; mtu?: number; priority?: number }[];
  readonly logFile?: string;
  readonly logLevel?: "error" | "info" | "debug";
  readonly ipam?: IpamConfig;
  readonly dns?: Dns;
  readonly runtimeConfig?: RuntimeConfig;
  /** For the runtime, which need not leave it in; anything may stand there. */
  readonly capabilities?: object | null;
  readonly args?: { cni?: { ips?: readonly string[] } };
  readonly prevResult?: unknown;
}

export interface IpamConfig extends Partial<RangeConfig> {
  readonly type?: string;
  readonly ranges?: readonly (readonly RangeConfig[])[];
  readonly routes?: readonly { dst: string }[];
}

export interface RuntimeConfig {
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly ipRanges?: readonly (readonly RangeConfig[])[];
  readonly dns?: Dns;
}

export interface Netconf {
  readonly cniVersion: CniVersion;
  readonly name: string;
  readonly document: NetconfDocument;
  /** As it came: a delegate gets the very same bytes. */
  readonly text: string;
  /** What the schema finds wrong. Verbs that give must refuse; verbs that take away look only at what they need. */
  readonly mistakes: readonly Mistake[];
}

/**
 * Reads a configuration so far that every verb can work with it. Throws CniErrors in the order of precedence:
 * 6 not a JSON object, 7 no usable name, 1 not our version.
 */
export function readNetconf(text: string): Netconf {
  const document = readObject(text);
  if (document.name !== undefined && typeof document.name !== "string") throw undecodable("name", "a string");
  const { name = "", cniVersion = "" } = document as { name?: string; cniVersion?: unknown };
  if (typeof cniVersion !== "string") throw undecodable("cniVersion", "a string");
  if (name === "") throw invalidConfig("name is missing, expected the network's name");
  if (!isPlainName(name)) {
    throw invalidConfig(`name is ${JSON.stringify(name)}, expected letters, digits, '_', '.' and '-'`);
  }
  if (name.length > LONGEST_NETWORK_NAME) {
    throw invalidConfig(`name has ${name.length} characters, expected at most ${LONGEST_NETWORK_NAME}`);
  }
  const wanted = cniVersion || "0.1.0"; // before there was a key, there was that version
  if (!isSupported(wanted)) throw incompatible(wanted);
  const lenient = { ...document, ...capabilities(document.runtimeConfig) };
  const mistakes = mistakesIn(validateNetconf, lenient);
  return { cniVersion: wanted, name, document: lenient as unknown as NetconfDocument, text, mistakes };
}

/** A document for verbs that give: throws a CniError 7 with all mistakes. */
export function validDocument({ document, mistakes }: Netconf): NetconfDocument {
  refuse(mistakes);
  return document;
}

/**
 * A document for verbs that take away: DEL may come with today's configuration for yesterday's pod, and must
 * not fail for a mistake in a key it does not need.
 */
export function removalDocument({ document, mistakes }: Netconf): NetconfDocument {
  refuse(
    mistakes.filter(({ key }) => ["stateDir", "hostInterfacePrefix", "ipam", "ipam.type"].includes(key)),
  );
  return document;
}

/** Throws a CniError 7 unless there are no mistakes: the first in the message, all of them in the details. */
export function refuse(mistakes: readonly Mistake[]): void {
  const [first] = mistakes;
  if (first === undefined) return;
  const more = mistakes.length > 1 ? ` (and ${mistakes.length - 1} more, see details)` : "";
  throw invalidConfig(describeMistake(first) + more, mistakes.map(describeMistake).join("\n"));
}

/** The attachments a GC is to keep; `undefined` when it was not told, and must keep all. */
export function validAttachments({ document, name }: Netconf): Attachment[] | undefined {
  const keys = ["cni.dev/valid-attachments", "cni.dev/attachments"]; // libcni's spelling, the specification's
  const values = document as unknown as Record<string, unknown>;
  const key = keys.find((key) => values[key] !== undefined);
  if (key === undefined) return undefined;
  const list = values[key] ?? []; // CRI-O says null for none
  const isList = Array.isArray(list) && list.every(isAttachment);
  if (!isList) throw invalidConfig(`${key} is not a list of {"containerID", "ifname"}`);
  return list.map(({ containerID, ifname }) => ({ network: name, containerId: containerID, ifName: ifname }));
}

function isAttachment(value: unknown): value is { containerID: string; ifname: string } {
  const { containerID, ifname } = (value ?? {}) as { containerID?: unknown; ifname?: unknown };
  return typeof containerID === "string" && typeof ifname === "string";
}

function readObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw undecodable("the configuration", `JSON (${(error as Error).message})`, { cause: error });
  }
  if (value === null) return {}; // as Go decodes it: an empty configuration
  if (typeof value !== "object" || Array.isArray(value))
    throw undecodable("the configuration", "a JSON object");
  return value as Record<string, unknown>;
}

/** Capabilities come with keys of any case: containerd writes `Subnet` and `Servers` (Go structs without tags). */
function capabilities(runtimeConfig: unknown): { runtimeConfig?: unknown } {
  if (runtimeConfig === undefined) return {};
  const { ips, mac, ipRanges, dns } = folded(runtimeConfig, ["ips", "mac", "ipRanges", "dns"]);
  const ranges = Array.isArray(ipRanges)
    ? ipRanges.map((set) => (Array.isArray(set) ? set.map(foldedRange) : set))
    : ipRanges;
  const known = { ips, mac, ipRanges: ranges, dns: foldedDns(dns) };
  return {
    runtimeConfig: Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
  };
}

function foldedRange(range: unknown): unknown {
  if (typeof range !== "object" || range === null) return range;
  return compact(folded(range, ["subnet", "rangeStart", "rangeEnd", "gateway", "exclude"]));
}

/** The capability's words differ from the configuration's (CNI conventions: servers, searches, options). */
function foldedDns(dns: unknown): unknown {
  if (typeof dns !== "object" || dns === null) return dns;
  const { servers, searches, options, nameservers, search, domain } = folded(dns, [
    "servers",
    "searches",
    "options",
    "nameservers",
    "search",
    "domain",
  ]);
  return compact({ nameservers: servers ?? nameservers, search: searches ?? search, options, domain });
}

function folded(value: unknown, names: readonly string[]): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries((value ?? {}) as object)) {
    const name = names.find((name) => name.toLowerCase() === key.toLowerCase());
    // Go writes absent lists and strings as null and "".
    if (name !== undefined && inner !== null && inner !== "") result[name] = inner;
  }
  return result;
}

function compact(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined));
}

function incompatible(wanted: string): CniError {
  const details = `config is ${JSON.stringify(wanted)}, plugin supports ${JSON.stringify(SUPPORTED_VERSIONS)}`;
  return new CniError(
    Code.incompatibleVersion,
    "IncompatibleVersion",
    `Cannot speak CNI ${JSON.stringify(wanted)}: set cniVersion to one of ${SUPPORTED_VERSIONS.join(", ")}`,
    details,
  );
}

function undecodable(key: string, expected: string, options?: ErrorOptions): CniError {
  const message = `Cannot read the network configuration: ${key} must be ${expected}`;
  return new CniError(Code.undecodable, "UndecodableConfig", message, undefined, options);
}

function invalidConfig(message: string, details?: string): CniError {
  return new CniError(
    Code.invalidConfig,
    "InvalidConfig",
    `Cannot use the network configuration: ${message}`,
    details,
  );
}
