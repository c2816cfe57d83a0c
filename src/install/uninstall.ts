// slash32 uninstall: removes all that is of slash32 on this node, and tells what remains.
import { type Command, Exit, readOptions, type Terminal } from "../cli/command.ts";
import { painter } from "../cli/paint.ts";
import { Namespace } from "../datapath/netns.ts";
import { dirname } from "../paths.ts";
import { type Item, inventory } from "./inventory.ts";
import { lockNode } from "./lock.ts";
import { PLACE_HELP, PLACE_OPTIONS, readPlaces } from "./options.ts";
import type { Places } from "./places.ts";
import { forPeople, forPrograms, type Line } from "./report.ts";

/** A verb that was at work may leave something behind when all else is gone. */
const ROUNDS = 3;
/** As many pods as are named one by one. */
const NAMED = 3;
/** `kubectl drain` passes over pods of DaemonSets. */
const DRAIN = "drain the node, delete DaemonSets whose pods survive that or keep them off this node";

const HELP = `Usage: slash32 uninstall [OPTION...]

Removes slash32 from this node: first the list that tells the runtime, then pods' links, routes and leases, node.json, the
log that the list names, and the executable. Each is known by a mark of its own, and nothing else is touched: a list that
"slash32 install" wrote says so, host ends by their alias. Ends with what remains. Can be repeated, and interrupted.

Options:
${PLACE_HELP}
  --plan                tell what would be removed, or why not, and change nothing
  --force               even while there are pods: they are cut off; and where node.json is there, and no list
  --json                for programs: { lines, remains }

Exit status: 0 nothing remains; 1 something does, here or with another IPAM plugin, or it refuses, as where pods are; 2 not understood.

Examples:
  slash32 uninstall --plan
  slash32 uninstall
  slash32 uninstall --root /host --force
`;

const OPTIONS = {
  ...PLACE_OPTIONS,
  plan: { type: "boolean" },
  force: { type: "boolean" },
  json: { type: "boolean" },
} as const;

export const uninstall: Command = {
  help: HELP,
  run(args, terminal) {
    const values = readOptions("uninstall", args, OPTIONS);
    const places = readPlaces(values);
    const { force = false, "cni-conf-dir": confDir } = values;
    const wish = { places, force, isConfDirTold: confDir !== undefined };
    using host = Namespace.current();
    const report = (lines: readonly Line[], remains: readonly Item[]) =>
      say(terminal, places, values.json, lines, remains);
    if (values.plan) {
      const found = inventory(places, host);
      const ours = found.filter(({ remove }) => remove);
      const reason = refusal(found, wish);
      const lines = ours.map((item) => lineOf(item, "planned", "would be removed"));
      if (reason) lines.push({ what: "uninstall", path: "would refuse", kind: "warning", words: reason });
      return report(
        lines,
        found.filter((item) => !ours.includes(item)),
      );
    }
    const lines = removeAll(host, wish);
    return report(lines, inventory(places, host));
  },
};

interface Wish {
  readonly places: Places;
  /** Even while there are pods, and where no list of ours is seen. */
  readonly force: boolean;
  /** Whether the runtime's directory of lists is told, and not only supposed. */
  readonly isConfDirTold: boolean;
}

/** Why not, before anything is changed. Without a list a runtime cannot even end its pods, and with one it has to be served. */
function refusal(found: readonly Item[], { places, force, isConfDirTold }: Wish): string | undefined {
  const pods = found.filter(({ what }) => what === "pod" || what === "host end").map(({ path }) => path);
  if (pods.length > 0 && !force) return `${countedPods(pods)}; ${DRAIN}, or cut them off with --force`;
  const byHand = found.find(({ what, remove }) => what === "list" && remove === undefined);
  if (byHand) return `${byHand.path} names slash32; ${byHand.advice}`;
  // Of whoever was killed, too, something of the list is there as long as node.json is.
  const isListed = found.some(({ path }) => dirname(path) === places.confDir);
  const nodeFile = found.find(({ what }) => what === "node file");
  if (nodeFile === undefined || isListed || isConfDirTold || force) return undefined;
  const seen = `${nodeFile.path} is there, and no list of slash32 install in ${places.confDir}`;
  return `${seen}; say with --cni-conf-dir and --cni-bin-dir where this node's runtime looks, also if it is there`;
}

function countedPods(pods: readonly string[]): string {
  const names = pods.slice(0, NAMED).join(", ") + (pods.length > NAMED ? ", …" : "");
  return `${pods.length === 1 ? "1 pod is" : `${pods.length} pods are`} attached (${names})`;
}

function refuse(found: readonly Item[], wish: Wish): void {
  const reason = refusal(found, wish);
  if (reason !== undefined) throw new Error(`Cannot uninstall: ${reason}`);
}

/** In the order of the inventory; what a runtime sees goes first of all, and comes back where a pod came meanwhile. */
function removeAll(host: Namespace, wish: Wish): Line[] {
  const { places } = wish;
  using _ = lockNode(places.seen(places.lock));
  const lines = new Map<string, Line>();
  const tell = (item: Item, kind: Line["kind"], words: string) =>
    lines.set(`${item.what} ${item.path}`, lineOf(item, kind, words));
  for (let round = 0; round < ROUNDS; round++) {
    const found = inventory(places, host);
    if (round === 0) refuse(found, wish);
    const items = found.filter(({ remove }) => remove);
    using shown = new DisposableStack();
    for (const item of items) {
      if (item.hide === undefined) continue;
      shown.defer(item.hide());
      tell(item, "done", "removed");
    }
    if (round === 0) refuse(inventory(places, host), wish);
    shown.move();
    for (const item of items) {
      const trouble = failure(item);
      // The state directory goes with the lock in it, when all is over.
      if (trouble) tell(item, "warning", trouble);
      else if (item.what !== "directory") tell(item, "done", "removed");
    }
  }
  return [...lines.values()];
}

/** Why it is not gone, or not all of it: another IPAM plugin may refuse. The rest goes all the same. */
function failure({ remove }: Item): string | undefined {
  try {
    remove?.();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function lineOf({ what, path }: Item, kind: Line["kind"], words: string): Line {
  return { what, path, kind, words };
}

function say(
  terminal: Terminal,
  { binDir, confDir, stateDir }: Places,
  json: boolean | undefined,
  lines: readonly Line[],
  remains: readonly Item[],
): number {
  const isOf = (line: Line, item: Item) => line.what === item.what && line.path === item.path;
  const trouble = lines.filter(({ kind }) => kind === "warning");
  const left = remains.map((item) => {
    const reason = trouble.find((line) => isOf(line, item))?.words;
    return lineOf(item, "warning", `remains: ${item.advice ?? reason ?? "try again"}`);
  });
  if (json) terminal.out(forPrograms(lines, { remains: remains.map(({ what, path }) => ({ what, path })) }));
  else {
    const gone = lines.filter((line) => !remains.some((item) => isOf(line, item)));
    terminal.out(forPeople([...gone, ...left], painter(terminal.colours)));
    const looked = `looked in ${binDir}, ${confDir} and ${stateDir}`;
    if (left.length === 0) terminal.out(`There is nothing else of slash32 on this node: ${looked}.\n`);
  }
  return left.length + trouble.length > 0 ? Exit.found : Exit.ok;
}
