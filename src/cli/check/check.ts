// slash32 check: CHECK without a runtime, for one pod or for all; with --repair it mends what differs.
import { absolutePath } from "../../directories.ts";
import { type Command, Exit, readArguments, UsageError } from "../command.ts";
import { Node } from "../node/node.ts";
import { painter } from "../paint.ts";
import { findPods, type Pod, podName } from "../pods.ts";
import { type Candidate, candidates, complaints, isFine, look } from "./look.ts";
import { forPeople, forPrograms } from "./report.ts";

const HELP = `Usage: slash32 check ATTACHMENT... [--repair]
       slash32 check --all [--repair]

Holds what the kernel has against what ADD made, step by step, and prints each difference with the command that restores
it. Needs no runtime: leases, host ends and sandboxes are found on this host.

ATTACHMENT is a pod's namespace/name, a container ID or the beginning of one, an address, a host end, or
NETWORK/CONTAINER/INTERFACE.

Options:
  --all                 every attachment of this host
  --repair              apply the steps that differ once more, and only those; then verify again, and say what was done
  --json                for programs
  --cni-conf-dir DIR    the runtime's configuration, which says what ADD was told (default /etc/cni/net.d)
  --state-dir DIR       the leases (default: what the configuration says, else /run/slash32)

Exit status: 0 all is as ADD left it, or is again; 1 it is not; 2 not understood.

Examples:
  slash32 check default/web-0
  slash32 check 10.20.1.2 --repair
  slash32 check --all --json | jq -r '.attachments[].differences[].restore'
`;

const OPTIONS = {
  all: { type: "boolean" },
  repair: { type: "boolean" },
  json: { type: "boolean" },
  "cni-conf-dir": { type: "string" },
  "state-dir": { type: "string" },
} as const;

export const check: Command = {
  help: HELP,
  run(args, { out, err, colours }) {
    const { values, positionals } = readArguments(args, OPTIONS);
    if (values.all ? positionals.length > 0 : positionals.length === 0) {
      throw new UsageError("check takes an attachment, or --all");
    }
    const absolute = (path: string | undefined) => (path === undefined ? undefined : absolutePath(path));
    using node = new Node({
      root: "/",
      cniConfDir: absolute(values["cni-conf-dir"]),
      cniBinDir: undefined,
      stateDir: absolute(values["state-dir"]),
    });
    const unread = complaints(node);
    for (const complaint of unread) err(`slash32 check: ${complaint}\n`);
    const known = candidates(node);
    const asked = values.all ? known : positionals.flatMap((text) => named(text, known));
    const looks = [...new Set(asked)].flatMap(
      (candidate) => look(candidate, node, values.repair ?? false) ?? [],
    );
    out(values.json ? forPrograms(looks) : forPeople(looks, painter(colours)));
    return unread.length === 0 && looks.every(isFine) ? Exit.ok : Exit.found;
  },
};

/** All attachments that are called so: a pod may have several. */
function named(text: string, known: readonly Candidate[]): Candidate[] {
  const found = findPods(
    text,
    known.map(({ pod }) => pod),
  );
  const [first] = found;
  if (first === undefined)
    throw new UsageError(
      stranger(
        text,
        known.map(({ pod }) => pod),
      ),
    );
  const containers = new Set(found.map(({ attachment }) => attachment?.containerId));
  const isBeginning = !found.some(({ attachment }) => attachment?.containerId === text);
  const isName = found.every(({ label }) => label === text);
  if (containers.size > 1 && isBeginning && !isName) {
    const names = found.map((pod) => pod.attachment?.containerId ?? pod.hostEnd);
    throw new UsageError(`${JSON.stringify(text)} is ${found.length} attachments: ${names.join(", ")}`);
  }
  return known.filter(({ pod }) => found.includes(pod));
}

function stranger(text: string, pods: readonly Pod[]): string {
  const some = pods.slice(0, 5).map(podName).join(", ");
  const more = pods.length > 5 ? ` and ${pods.length - 5} more` : "";
  const whom = pods.length === 0 ? "this host has no pods" : `this host has ${some}${more}`;
  return `${JSON.stringify(text)} is no address, no pod and no container of this host (${whom})`;
}
