// slash32 conflist: a configuration list for this node, to be written where its runtime looks.
import { DEFAULT_STATE_DIR } from "../cni/netconf.ts";
import { readNode } from "../cni/node.ts";
import { absolutePath } from "../directories.ts";
import { composeList, refusalOf } from "../install/list.ts";
import { BIN_DIR, readPlaces } from "../install/options.ts";
import { type Command, Exit, readOptions, UsageError } from "./command.ts";

const DEFAULT_NAME = "podnet";

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
speaks the newest version of the CNI specification that all of them do, but none above 1.0.0, as containerd before 2.0
knows no more. Nothing is written but standard output.

  --name NAME         the network's name (default ${DEFAULT_NAME})
  --pod-cidr CIDR     the node's range; twice for dual stack (default: usePodCidr, which node.json tells)
  --cni-version V     instead of the newest that all plugins speak, up to 1.0.0
  --bin-dir DIR       where the runtime has its plugins (default ${BIN_DIR})
  --log-file FILE     where each verb writes a line

Examples:
  slash32 conflist --pod-cidr 10.20.1.0/24 > /etc/cni/net.d/10-slash32.conflist
  slash32 conflist --pod-cidr 10.20.1.0/24 --pod-cidr fd00:20:1::/64 --bin-dir /usr/lib/cni
`,
  run(args, terminal) {
    const values = readOptions("conflist", args, OPTIONS);
    const { "bin-dir": binDir } = values;
    const list = composeList({
      name: values.name ?? DEFAULT_NAME,
      subnets: values["pod-cidr"] ?? nodeRanges(),
      places: readPlaces({ "cni-bin-dir": binDir && absolutePath(binDir) }),
      cniVersion: values["cni-version"],
      logFile: values["log-file"],
    });
    const refusal = refusalOf(list, DEFAULT_STATE_DIR, readNode(DEFAULT_STATE_DIR).mtu);
    // What the node file does not tell yet it may tell later.
    if (refusal && refusal.reason !== "PodCidrUnknown") throw new UsageError(refusal.message);
    if (refusal) terminal.err(`slash32 conflist: until then, ADD says: ${refusal.message}\n`);
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
