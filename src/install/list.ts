// A configuration list: slash32 and what usually follows it, in a version that all of them and the runtime speak.
import { UsageError } from "../cli/command.ts";
import type { PluginEntry } from "../cli/node/configuration.ts";
import { assertServable } from "../cni/endpoint.ts";
import { CniError } from "../cni/error.ts";
import { DEFAULT_STATE_DIR, readNetconf, validDocument } from "../cni/netconf.ts";
import { atLeast, isSupported, SUPPORTED_VERSIONS } from "../cni/version.ts";
import { runDelegate } from "../ipam/delegate.ts";
import { join } from "../paths.ts";
import type { Places } from "./places.ts";
import { lookFor } from "./plugins.ts";
import { newestFor } from "./runtime.ts";

/** No plugin takes as long to tell what it speaks. */
const PATIENCE_MS = 5000;

/** What every plugin speaks that is still in use. */
const OLD_VERSIONS = SUPPORTED_VERSIONS.filter((version) => !atLeast(version, "1.0.0"));

/** What usually follows an interface plugin, each with the capability it is for. */
const FOLLOWERS = [
  { type: "portmap", capability: "portMappings" },
  { type: "bandwidth", capability: "bandwidth" },
] as const;

export interface List {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginEntry[];
}

export interface ListWishes {
  readonly name: string;
  /** CIDRs, or usePodCidr and usePodCidrIPv6: a pod gets an address of each. */
  readonly subnets: readonly string[];
  /** Where the runtime has its plugins, and where leases are to be. */
  readonly places: Places;
  /** Instead of the newest that all plugins and the runtime speak. */
  readonly cniVersion: string | undefined;
  /** As Kubernetes names it; absent where nobody knows. */
  readonly runtime?: string | undefined;
  readonly logFile: string | undefined;
}

/** Followers are those that the runtime has. Throws a UsageError for a version that one of them does not speak. */
export function composeList({ name, cniVersion, runtime, ...own }: ListWishes): List {
  const { places } = own;
  const followers = FOLLOWERS.filter(({ type }) => lookFor(type, places) !== "nowhere");
  const spoken = (type: string) => spokenBy(type, places, cniVersion !== undefined);
  const versions = new Map(followers.map(({ type }) => [type, spoken(type)]));
  return {
    cniVersion: cniVersion === undefined ? commonVersion(versions, runtime) : wanted(cniVersion, versions),
    name,
    plugins: [
      ownEntry(own),
      ...followers.map(({ type, capability }) => ({ type, capabilities: { [capability]: true } })),
    ],
  };
}

function ownEntry({ subnets, logFile, places }: Pick<ListWishes, "subnets" | "logFile" | "places">) {
  const { stateDir } = places;
  return {
    type: "slash32",
    ipam: { type: "slash32", ranges: subnets.map((subnet) => [{ subnet }]) },
    ...(stateDir === DEFAULT_STATE_DIR ? {} : { stateDir }),
    ...(logFile === undefined ? {} : { logFile }),
    capabilities: { ips: true, mac: true, ipRanges: true, dns: true },
  };
}

/** What ADD would refuse it with, whatever the pod, on a node that has this state directory and this MTU. */
export function refusalOf(
  { plugins, ...head }: List,
  stateDir: string,
  nodeMtu: number | undefined,
): CniError | undefined {
  const plugin = plugins.find(({ type }) => type === "slash32");
  try {
    assertServable(validDocument(readNetconf(JSON.stringify({ ...plugin, ...head }))), stateDir, nodeMtu);
    return undefined;
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
}

/** Whoever names the version answers for plugins that do not. */
function spokenBy(type: string, places: Places, isVersionNamed: boolean): readonly string[] {
  try {
    return versionsOf(type, places, isVersionNamed ? SUPPORTED_VERSIONS : OLD_VERSIONS);
  } catch (error) {
    if (isVersionNamed) return SUPPORTED_VERSIONS;
    const advice = `name a version that it speaks with --cni-version, or take ${type} out of ${places.binDir}`;
    throw new Error(`Cannot tell what ${type} speaks: ${(error as Error).message}; ${advice}`, {
      cause: error,
    });
  }
}

/**
 * By VERSION, as runtimes ask. What only the node can start speaks `unknown`; throws for what does not answer from here,
 * either.
 */
function versionsOf(type: string, places: Places, unknown: readonly string[]): readonly string[] {
  if (lookFor(type, places) === "on the node") return unknown;
  const environment = { CNI_PATH: "dummy", CNI_NETNS: "dummy", CNI_IFNAME: "dummy" };
  const netconf = '{"cniVersion":"1.0.0"}';
  const path = [places.seen(places.binDir)];
  try {
    const plugin = { type, kind: "plugin", path, environment, netconf, timeoutMs: PATIENCE_MS };
    const { supportedVersions } = (runDelegate(plugin, "VERSION") ?? {}) as { supportedVersions?: unknown };
    if (Array.isArray(supportedVersions)) return supportedVersions.map(String);
  } catch (error) {
    // In a container without the node's libraries.
    if (((error as Error).cause as { code?: unknown } | undefined)?.code === "ENOENT") return unknown;
    throw error;
  }
  throw new Error(
    `Cannot use the answer of ${join(places.binDir, type)} to VERSION: it has no supportedVersions`,
  );
}

/** What each plugin speaks, by its type. */
type Versions = ReadonlyMap<string, readonly string[]>;

function wanted(version: string, versions: Versions): string {
  if (!isSupported(version)) {
    const expected = `expected one of ${SUPPORTED_VERSIONS.join(", ")}`;
    throw new UsageError(`--cni-version is ${JSON.stringify(version)}, ${expected}`);
  }
  const mute = [...versions].find(([, spoken]) => !spoken.includes(version));
  if (mute) throw new UsageError(`${mute[0]} does not speak CNI ${version}, only ${mute[1].join(", ")}`);
  return version;
}

function commonVersion(versions: Versions, runtime: string | undefined): string {
  const newest = newestFor(runtime);
  const common = SUPPORTED_VERSIONS.findLast(
    (version) =>
      atLeast(newest, version) && [...versions.values()].every((spoken) => spoken.includes(version)),
  );
  if (common !== undefined) return common;
  const all = [...versions.keys(), "slash32", runtime ?? "any runtime"].join(", ");
  throw new Error(
    `Cannot find a version of CNI up to ${newest} that all of them speak: ${all}; say --cni-version`,
  );
}
