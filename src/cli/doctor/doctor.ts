// slash32 doctor: the node as a whole, looked over without touching it.
import { absolutePath } from "../../directories.ts";
import { readText } from "../../files.ts";
import { VERSION } from "../../generated/version.ts";
import { type Command, Exit, readOptions, type Terminal } from "../command.ts";
import { Node } from "../node/node.ts";
import { painter } from "../paint.ts";
import { type Check, counted, unable, type Verdict } from "./check.ts";
import { count, forPeople, forPrograms, type Made } from "./report.ts";
import { SUBJECTS } from "./subjects.ts";

const HELP = `Usage: slash32 doctor [OPTION...]

Looks over this node and everything on it that a pod's packets depend on. Each finding says what was seen, why it
matters, and what to type. Nothing is changed. Works from the kernel, the store and the files alone.

Options:
  --verbose             also tell what is fine, a line for each check
  --strict              exit 1 for warnings, too
  --json                for programs: { summary, findings, checks }
  --root DIR            the node's files are below DIR, as in a pod that mounts / there (default /)
  --cni-conf-dir DIR    the runtime's configuration (default /etc/cni/net.d below the root)
  --cni-bin-dir DIR     the runtime's plugins (default /opt/cni/bin below the root)
  --state-dir DIR       the leases (default: what the configuration says, else /run/slash32, below the root)

Exit status: 0 fine, or warnings only; 1 an error was found; 2 not understood.

Examples:
  slash32 doctor
  slash32 doctor --strict --json | jq -r '.findings[].type'
  slash32 doctor --root /host
`;

const OPTIONS = {
  verbose: { type: "boolean", short: "V" },
  strict: { type: "boolean" },
  json: { type: "boolean" },
  root: { type: "string" },
  "cni-conf-dir": { type: "string" },
  "cni-bin-dir": { type: "string" },
  "state-dir": { type: "string" },
} as const;

export const doctor: Command = {
  help: HELP,
  run(args, terminal: Terminal) {
    const values = readOptions("doctor", args, OPTIONS);
    const absolute = (path: string | undefined) => (path === undefined ? undefined : absolutePath(path));
    using node = new Node({
      root: absolutePath(values.root ?? "/"),
      cniConfDir: absolute(values["cni-conf-dir"]),
      cniBinDir: absolute(values["cni-bin-dir"]),
      stateDir: absolute(values["state-dir"]),
    });
    const made = SUBJECTS.flatMap(({ name, checks }) =>
      checks.map((check): Made => ({ subject: name, title: check.title, verdict: make(check, node) })),
    );
    const paint = painter(terminal.colours && !values.json);
    terminal.out(
      values.json ? forPrograms(made) : forPeople(titleOf(node), made, paint, values.verbose ?? false),
    );
    const { errors, warnings } = count(made);
    return errors > 0 || (values.strict && warnings > 0) ? Exit.found : Exit.ok;
  },
};

function titleOf(node: Node): string {
  const networks = node.networks().map(({ name }) => name);
  const which = networks.length > 0 ? networks.join(", ") : "no network";
  return `slash32 ${VERSION} on ${readText("/proc/sys/kernel/hostname").trim()}: ${which}, ${counted(node.podCount(), "pod")}`;
}

/** One check that fails must not keep the others from being made. */
function make(check: Check, node: Node): Verdict {
  try {
    return check.run(node);
  } catch (error) {
    return unable(error instanceof Error ? error.message : String(error));
  }
}
