// slash32 install: puts the executable, what is true of this node, and a configuration list in their places.
import { type Command, Exit, readOptions, type Terminal, UsageError } from "../cli/command.ts";
import { painter } from "../cli/paint.ts";
import type { NetconfDocument } from "../cni/netconf.ts";
import type { CniVersion } from "../cni/version.ts";
import { egressMtu } from "../datapath/egress.ts";
import { Namespace } from "../datapath/netns.ts";
import { absolutePath } from "../directories.ts";
import { podsOutside } from "./attachments.ts";
import { carryOut, type Trial } from "./carry-out.ts";
import { type Change, changes, droppedPlugins, earlierLists, type Installation } from "./changes.ts";
import { chooseList, familiesOf, NETWORK, subnetsOf } from "./choose-list.ts";
import { learnFacts, POD_CIDR_VARIABLE } from "./facts.ts";
import { PLACE_HELP, PLACE_OPTIONS, readPlaces } from "./options.ts";
import { forPeople, forPrograms, type Line } from "./report.ts";
import { tryOut } from "./trial.ts";

const CONF_NAME = "10-slash32.conflist";
const TIMEOUT = "120s";
// include/uapi/linux/if_ether.h, ETH_MIN_MTU and ETH_MAX_MTU
const LEAST_MTU = 68;
const LARGEST_MTU = 65_535;

const HELP = `Usage: slash32 install [OPTION...]

Installs slash32 on this node: the executable, the node's pod CIDRs and MTU (node.json), and, once a pod was made and
removed for trial, the list that tells the runtime. What is so already is left. Where anything fails, nothing changes.

The node's pod CIDRs, from the first that tells:
  --pod-cidr CIDR       may be repeated, once for each family
  $${POD_CIDR_VARIABLE}      in the environment, separated by commas
  --node-file FILE      of the form of node.json; its MTU counts also where another tells the CIDRs. Not below --root
  --from-kubernetes     the Node object named in $NODE_NAME, with the pod's service account; waits until it has some

Options:
${PLACE_HELP}
  --conf-name NAME      the list's file (default ${CONF_NAME}); the same network's list of an earlier name is removed
  --network NAME        the network's name (default ${NETWORK})
  --cni-version V       of the list, instead of the newest that its plugins and the runtime speak; where Kubernetes does
                        not tell which runtime that is, at most 1.0.0
  --mtu N               of pods (default: that of the interface which the host's default route leaves by)
  --log-file FILE       where each verb writes a line
  --conflist FILE       install this list, which then says the network, its version and its log itself. Not below --root
  --require-first       fail where a runtime takes another list instead, other than Multus's; all is installed then
  --timeout TIME        how long to wait for Kubernetes, such as 90s or 5m (default ${TIMEOUT})
  --plan                tell what would be done, and change nothing
  --json                for programs: { podCIDRs, mtu, lines }

Exit status: 0 installed; 1 not, and the node is as before, but for --require-first; 2 not understood.

Examples:
  slash32 install --pod-cidr 10.20.1.0/24 --plan
  slash32 install --pod-cidr 10.20.1.0/24 --pod-cidr fd00:20:1::/64 --cni-bin-dir /usr/lib/cni
  slash32 install --root /host --from-kubernetes --timeout 120s
`;

const OPTIONS = {
  ...PLACE_OPTIONS,
  "conf-name": { type: "string" },
  network: { type: "string" },
  "cni-version": { type: "string" },
  "pod-cidr": { type: "string", multiple: true },
  "node-file": { type: "string" },
  "from-kubernetes": { type: "boolean" },
  mtu: { type: "string" },
  "log-file": { type: "string" },
  conflist: { type: "string" },
  "require-first": { type: "boolean" },
  timeout: { type: "string" },
  plan: { type: "boolean" },
  json: { type: "boolean" },
} as const;

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>;

export const install: Command = {
  help: HELP,
  run(args, terminal) {
    const values = readOptions("install", args, OPTIONS);
    using host = Namespace.current();
    const installation = prepare(values, terminal, host);
    const dropped = droppedPlugins(installation); // as long as the list before is there
    const lines = values.plan ? changes(installation).map(planned) : perform(installation);
    const earlier = earlierLists(installation);
    lines.push(...dropped, ...outside(installation), ...earlier.map(({ isInstead, ...line }) => line));
    const { facts, mtu } = installation;
    const podCIDRs = Object.values(facts.podCidrs);
    const paint = painter(terminal.colours);
    terminal.out(values.json ? forPrograms(lines, { podCIDRs, mtu }) : forPeople(lines, paint));
    const instead = earlier.find(({ isInstead }) => isInstead);
    if (values["require-first"] && instead) {
      const advice = "take it away, or have ours come before it by --conf-name";
      throw new Error(
        `Cannot serve pods from ${installation.confName}: ${instead.path} ${instead.words}; ${advice}`,
      );
    }
    return Exit.ok;
  },
};

/** All that can be told before anything is touched, and all that can be refused. */
function prepare(values: Values, { environment, err }: Terminal, host: Namespace): Installation {
  const confName = values["conf-name"] ?? CONF_NAME;
  if (!/^[A-Za-z0-9][\w.-]*\.conflist$/.test(confName)) {
    throw new UsageError(
      `--conf-name is ${JSON.stringify(confName)}, expected a name such as "${CONF_NAME}"`,
    );
  }
  const asked = readMtu(values.mtu);
  const timeoutMs = readTime(values.timeout ?? TIMEOUT);
  const progress = (line: string) => err(`slash32 install: ${line}\n`);
  const facts = learnFacts({
    podCidrs: values["pod-cidr"],
    nodeFile: values["node-file"],
    kubernetes: values["from-kubernetes"] ? { timeoutMs, progress } : undefined,
    environment,
  });
  const mtu = asked ?? facts.mtu ?? egressMtu(host);
  const { list, places } = chooseList({
    file: values.conflist === undefined ? undefined : absolutePath(values.conflist),
    network: values.network,
    cniVersion: values["cni-version"],
    logFile: values["log-file"],
    podCidrs: facts.podCidrs,
    mtu,
    runtime: facts.runtime,
    placesFor: (stateDir) => readPlaces(values, stateDir),
  });
  return { places, confName, list, facts, mtu };
}

function perform(installation: Installation): Line[] {
  const { places, list, facts, mtu } = installation;
  const entry = list.plugins.find(({ type }) => type === "slash32") as unknown as NetconfDocument;
  const document = { ...entry, cniVersion: list.cniVersion as CniVersion };
  const families = familiesOf(list, facts.podCidrs);
  const stateDir = places.seen(places.trialDir);
  let tookMs = 0;
  let verbs: readonly string[] = [];
  const trial = (executable: Parameters<Trial>[0]) => {
    const started = performance.now();
    verbs = tryOut({ ...executable, document, families, mtu, stateDir });
    tookMs = performance.now() - started;
  };
  const all = carryOut(() => changes(installation), places, trial);
  const tried: Line = {
    what: "trial",
    path: `${verbs.slice(0, -1).join(", ")} and ${verbs.at(-1)} of a pod`,
    kind: "done",
    words: `passed in ${tookMs.toFixed(0)} ms`,
  };
  return [tried, ...all.map(done)];
}

/** A node that comes back under other CIDRs without a reboot has pods of the ones before. */
function outside({ places, list, facts }: Installation): Line[] {
  const subnets = subnetsOf(list, facts.podCidrs);
  return subnets ? podsOutside(places, list.name, subnets.flat()) : [];
}

function planned(change: Change): Line {
  if (change.kind === "write" && change.isDone) return done(change);
  const { what, path, words } = change;
  return { what, path, kind: "planned", words: `would be ${verb(change)}: ${words}` };
}

function done(change: Change): Line {
  const { what, path, words } = change;
  if (change.kind === "write" && change.isDone)
    return { what, path, kind: "same", words: `is so already: ${words}` };
  return { what, path, kind: "done", words: `${verb(change)}: ${words}` };
}

function verb({ kind }: Change): string {
  return kind === "write" ? "written" : "removed";
}

function readMtu(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const mtu = Number(text);
  if (Number.isInteger(mtu) && mtu >= LEAST_MTU && mtu <= LARGEST_MTU) return mtu;
  throw new UsageError(`--mtu is ${JSON.stringify(text)}, expected ${LEAST_MTU} to ${LARGEST_MTU}`);
}

/** As Go and systemd write times; a number alone is seconds. */
function readTime(text: string): number {
  const [, number, unit = "s"] = /^(\d{1,6})(ms|s|m)?$/.exec(text) ?? [];
  if (number === undefined) {
    throw new UsageError(`--timeout is ${JSON.stringify(text)}, expected a time such as "90s" or "5m"`);
  }
  return Number(number) * { ms: 1, s: 1000, m: 60_000 }[unit as "ms" | "s" | "m"];
}
