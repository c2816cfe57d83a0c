// slash32 conflist: a configuration list for this node, to be written where its runtime looks.

import { CniError } from "../cni/error.ts";
import { DEFAULT_STATE_DIR, readNetconf, validDocument } from "../cni/netconf.ts";
import { readNode } from "../cni/node.ts";
import { rangeSets } from "../cni/source.ts";
import { isSupported, SUPPORTED_VERSIONS } from "../cni/version.ts";
import { isExecutable } from "../files.ts";
import { join } from "../paths.ts";
import { run } from "../spawn.ts";
import { type Command, Exit, readArguments, UsageError } from "./command.ts";

const DEFAULT_BIN_DIR = "/opt/cni/bin";
const DEFAULT_NAME = "podnet";
/** No plugin takes as long to tell what it speaks. */
const PATIENCE_MS = 5000;
const LONGEST_ANSWER_BYTES = 1 << 20;

/** What usually follows an interface plugin, each with the capability it is for. */
const FOLLOWERS = [
  { type: "portmap", capability: "portMappings" },
  { type: "bandwidth", capability: "bandwidth" },
] as const;

const OPTIONS = {
  name: { type: "string" },
  "pod-cidr": { type: "string", multiple: true },
  "cni-version": { type: "string" },
  "bin-dir": { type: "string" },
  "log-file": { type: "string" },
} as const;

export const conflist: Command = {
  help: `slash32 conflist [options]

Prints a configuration list for this node: slash32, and portmap and bandwidth behind it where the runtime has them. It
speaks the newest version of the CNI specification that all of them do. Nothing is written but standard output.

  --name NAME         the network's name (default ${DEFAULT_NAME})
  --pod-cidr CIDR     the node's range; twice for dual stack (default: usePodCidr, which node.json tells)
  --cni-version V     instead of the newest that all plugins speak
  --bin-dir DIR       where the runtime has its plugins (default ${DEFAULT_BIN_DIR})
  --log-file FILE     where each verb writes a line

Examples:
  slash32 conflist --pod-cidr 10.20.1.0/24 > /etc/cni/net.d/10-slash32.conflist
  slash32 conflist --pod-cidr 10.20.1.0/24 --pod-cidr fd00:20:1::/64 --bin-dir /usr/lib/cni
`,
  run(args, terminal) {
    const { values, positionals } = readArguments(args, OPTIONS);
    if (positionals.length > 0) throw new UsageError(`conflist takes no ${JSON.stringify(positionals[0])}`);
    const binDir = values["bin-dir"] ?? DEFAULT_BIN_DIR;
    const followers = FOLLOWERS.filter(({ type }) => isExecutable(join(binDir, type)));
    const versions = new Map(followers.map(({ type }) => [type, versionsOf(join(binDir, type))]));
    const cniVersion = commonVersion(versions, values["cni-version"]);
    const list = {
      cniVersion,
      name: values.name ?? DEFAULT_NAME,
      plugins: [
        own(values["pod-cidr"] ?? nodeRanges(), values["log-file"]),
        ...followers.map(({ type, capability }) => ({ type, capabilities: { [capability]: true } })),
      ],
    };
    const remark = assertUsable(list);
    if (remark !== undefined) terminal.err(`slash32 conflist: until then, ADD says: ${remark}\n`);
    terminal.out(`${JSON.stringify(list, undefined, 2)}\n`);
    return Exit.ok;
  },
};

/** By name, so that all nodes can share one list: which they are is in node.json. */
function nodeRanges(): string[] {
  const { podCidrs } = readNode(DEFAULT_STATE_DIR);
  const names = [podCidrs[4] && "usePodCidr", podCidrs[6] && "usePodCidrIPv6"].filter(
    (name) => name !== undefined,
  );
  return names.length > 0 ? names : ["usePodCidr"];
}

function own(podCidrs: readonly string[], logFile: string | undefined): object {
  return {
    type: "slash32",
    ipam: { type: "slash32", ranges: podCidrs.map((subnet) => [{ subnet }]) },
    ...(logFile === undefined ? {} : { logFile }),
    capabilities: { ips: true, mac: true, ipRanges: true, dns: true },
  };
}

/** What ADD would refuse is refused here, but for ranges that node.json does not tell yet: what ADD would say to these. */
function assertUsable({
  plugins: [plugin],
  ...head
}: {
  readonly plugins: readonly object[];
}): string | undefined {
  try {
    rangeSets(validDocument(readNetconf(JSON.stringify({ ...plugin, ...head }))), DEFAULT_STATE_DIR);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    if (error.reason !== "PodCidrUnknown") throw new UsageError(error.message);
    return error.message;
  }
}

/** By VERSION, as runtimes ask. Throws when there is no answer. */
function versionsOf(path: string): readonly string[] {
  const { stdout } = run({
    command: [path],
    environment: { CNI_COMMAND: "VERSION", CNI_PATH: "dummy", CNI_NETNS: "dummy", CNI_IFNAME: "dummy" },
    input: '{"cniVersion":"1.0.0"}',
    timeoutMs: PATIENCE_MS,
    longestOutputBytes: LONGEST_ANSWER_BYTES,
  });
  try {
    const { supportedVersions } = JSON.parse(stdout);
    if (Array.isArray(supportedVersions)) return supportedVersions.map(String);
  } catch {
    // It printed anything but JSON.
  }
  throw new Error(`Cannot tell what ${path} speaks: it did not answer VERSION`);
}

function commonVersion(versions: ReadonlyMap<string, readonly string[]>, wanted: string | undefined): string {
  if (wanted !== undefined && !isSupported(wanted)) {
    const expected = `expected one of ${SUPPORTED_VERSIONS.join(", ")}`;
    throw new UsageError(`--cni-version is ${JSON.stringify(wanted)}, ${expected}`);
  }
  const mute = [...versions].find(([, spoken]) => wanted !== undefined && !spoken.includes(wanted));
  if (mute) throw new UsageError(`${mute[0]} does not speak CNI ${wanted}, only ${mute[1].join(", ")}`);
  const common = SUPPORTED_VERSIONS.filter((version) =>
    [...versions.values()].every((spoken) => spoken.includes(version)),
  );
  const newest = wanted ?? common.at(-1);
  if (newest === undefined)
    throw new Error(`Cannot find a version that ${[...versions.keys()].join(", ")} and slash32 speak`);
  return newest;
}
