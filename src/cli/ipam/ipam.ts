// slash32 ipam: the store for people. What it holds, whether the kernel agrees, and settling it where not.
import { stateDirOf } from "../../cni/endpoint.ts";
import { DEFAULT_STATE_DIR, validDocument } from "../../cni/netconf.ts";
import { configuredRanges } from "../../cni/source.ts";
import { findStatus, readText } from "../../files.ts";
import { type Command, readArguments, type Terminal, UsageError } from "../command.ts";
import { readConfiguration } from "../configuration.ts";
import { checkStores } from "./check.ts";
import type { Given } from "./given.ts";
import { list } from "./list.ts";
import { release } from "./release.ts";
import { repairStores } from "./repair.ts";
import { Scene, type Scope } from "./scene.ts";
import { show } from "./show.ts";

const OPTIONS = {
  "state-dir": { type: "string" },
  network: { type: "string" },
  netconf: { type: "string" },
  "dry-run": { type: "boolean" },
  force: { type: "boolean" },
  json: { type: "boolean" },
} as const;

interface Subcommand {
  /** Returns the exit status. */
  run(given: Given, terminal: Terminal): number;
  /** Beside what all of them take. */
  readonly flag?: "dry-run" | "force";
  readonly takesOperands?: true;
}

const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  list: { run: list },
  show: { run: show },
  check: { run: checkStores },
  repair: { run: repairStores, flag: "dry-run" },
  release: { run: release, flag: "force", takesOperands: true },
};

export const ipam: Command = {
  help: `slash32 ipam list | show | check | repair [--dry-run] | release WHAT [--force]

The store of leases, held against the kernel of this host. No runtime is needed.

  list              every address that is held and who holds it, one a line, by the stores alone
  show              attachments with their addresses, pods and host ends, and whether all is well with them
  check             every disagreement between store, links, routes and sandboxes; exit status 1 if there is any
  repair            settles them, printing what it does as the commands it stands for; with --dry-run it only prints
  release           gives one attachment's addresses back: WHAT is NETWORK/CONTAINER/INTERFACE, or an address. Refused
                    while the kernel uses it; with --force its host end is removed first, as DEL does

  --state-dir DIR   where the stores are (default: ${DEFAULT_STATE_DIR})
  --network NAME    this network alone (default: all that have a store there, or host ends on this host)
  --netconf FILE    a network configuration or list: its network, its stateDir and how full its ranges are
  --json            for programs

What repair removes carries our mark: an alias that begins with "slash32", or a route with proto 32. What a verb is at work
on is left to it. A database that is damaged is moved aside and made anew from the host ends and their routes.

Examples:
  slash32 ipam show --netconf /etc/cni/net.d/10-slash32.conflist
  slash32 ipam check
  slash32 ipam release 10.20.1.2
  slash32 ipam repair --dry-run
`,
  run(args, terminal) {
    const { values, positionals } = readArguments(args, OPTIONS);
    const [name = "", ...operands] = positionals;
    const command = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
    if (command === undefined)
      throw new UsageError(`ipam ${name}: expected list, show, check, repair or release`);
    const [stray] = command.takesOperands ? [] : operands;
    if (stray !== undefined) throw new UsageError(`ipam ${name} takes no ${JSON.stringify(stray)}`);
    for (const flag of ["dry-run", "force"] as const)
      if (values[flag] && command.flag !== flag) throw new UsageError(`ipam ${name} takes no --${flag}`);
    using scene = new Scene(scopeOf(values));
    refuseUnknown(values, scene);
    const { json = false, "dry-run": dryRun = false, force = false } = values;
    return command.run({ scene, json, dryRun, force, operands }, terminal);
  },
};

interface Where {
  readonly "state-dir"?: string;
  readonly network?: string;
  readonly netconf?: string;
}

/** A name that was mistyped is none of a network where all is well. */
function refuseUnknown({ "state-dir": stateDir, network }: Where, scene: Scene): void {
  if (stateDir !== undefined && findStatus(stateDir) === undefined)
    throw new Error(`Cannot look into --state-dir ${stateDir}: there is no such directory`);
  const known = scene.knownNetworks();
  if (network === undefined || known.includes(network)) return;
  const others = known.length > 0 ? `there are ${known.join(", ")}` : "nor any other";
  throw new Error(
    `Cannot look at network ${network}: it has no store in ${scene.scope.stateDir} and no host end here (${others})`,
  );
}

/** Options win over the configuration. */
function scopeOf(values: Where): Scope {
  const { "state-dir": stateDir = DEFAULT_STATE_DIR, network } = values;
  if (values.netconf === undefined) return { stateDir, network, sets: [] };
  const netconf = readConfiguration(readText(values.netconf));
  const document = validDocument(netconf);
  const own = values["state-dir"] ?? stateDirOf(document);
  return { stateDir: own, network: network ?? netconf.name, sets: configuredRanges(document, own) };
}
