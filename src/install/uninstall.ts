// slash32 uninstall: removes all that is of slash32 on this node, and tells what remains.
import { type Command, Exit, readArguments, type Terminal, UsageError } from "../cli/command.ts";
import { painter } from "../cli/paint.ts";
import { Namespace } from "../datapath/netns.ts";
import { type Item, inventory } from "./inventory.ts";
import { lockNode } from "./lock.ts";
import { PLACE_HELP, PLACE_OPTIONS, readPlaces } from "./options.ts";
import type { Places } from "./places.ts";
import { forPeople, forPrograms, type Line } from "./report.ts";

/** A verb that was at work may leave something behind when all else is gone. */
const ROUNDS = 3;
/** As many pods as are named one by one. */
const NAMED = 3;

const HELP = `Usage: slash32 uninstall [OPTION...]

Removes slash32 from this node: first the list that tells the runtime, then pods' links, routes and leases, node.json, the
log that the list names, and the executable. Each is known by a mark of its own, and nothing else is touched: a list that
"slash32 install" wrote says so, host ends by their alias. Ends with what remains. Can be repeated, and interrupted.

Options:
${PLACE_HELP}
  --plan                tell what would be removed, and change nothing
  --force               even while there are pods: they are cut off
  --json                for programs: { lines, remains }

Exit status: 0 nothing remains; 1 something does, or pods are there; 2 not understood.

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
    const { values, positionals } = readArguments(args, OPTIONS);
    if (positionals.length > 0) throw new UsageError(`uninstall takes no ${JSON.stringify(positionals[0])}`);
    const places = readPlaces(values);
    using host = Namespace.current();
    const found = inventory(places, host);
    const report = (lines: readonly Line[], remains: readonly Item[]) =>
      say(terminal, values.json, lines, remains);
    if (values.plan) {
      const ours = found.filter(({ remove }) => remove);
      return report(
        ours.map((item) => lineOf(item, "planned", "would be removed")),
        found.filter((item) => !ours.includes(item)),
      );
    }
    refuse(found, values.force ?? false);
    const lines = removeAll(places, host);
    return report(lines, inventory(places, host));
  },
};

/** Before anything is changed. Without a list a runtime cannot even end its pods. */
function refuse(found: readonly Item[], force: boolean): void {
  const list = found.find(({ what, remove }) => what === "list" && remove === undefined);
  if (list) throw new Error(`Cannot uninstall: ${list.path} names slash32; ${list.advice}`);
  const pods = found.filter(({ what }) => what === "pod" || what === "host end").map(({ path }) => path);
  if (force || pods.length === 0) return;
  const more = pods.length > NAMED ? ", …" : "";
  const names = pods.slice(0, NAMED).join(", ") + more;
  const count = pods.length === 1 ? "1 pod is" : `${pods.length} pods are`;
  throw new Error(
    `Cannot uninstall: ${count} attached (${names}); drain the node, or cut them off with --force`,
  );
}

/** In the order of the inventory; what a runtime sees goes first of all. */
function removeAll(places: Places, host: Namespace): Line[] {
  using _ = lockNode(places.seen(places.lock));
  const lines = new Map<string, Line>();
  for (let round = 0; round < ROUNDS; round++) {
    const items = inventory(places, host).filter(({ remove }) => remove);
    const tell = (item: Item) => lines.set(`${item.what} ${item.path}`, lineOf(item, "done", "removed"));
    for (const item of items) {
      if (item.hide === undefined) continue;
      item.hide();
      tell(item);
    }
    for (const item of items) {
      item.remove?.();
      // The state directory goes with the lock in it, when all is over.
      if (item.what !== "directory") tell(item);
    }
  }
  return [...lines.values()];
}

function lineOf({ what, path }: Item, kind: Line["kind"], words: string): Line {
  return { what, path, kind, words };
}

function say(
  terminal: Terminal,
  json: boolean | undefined,
  lines: readonly Line[],
  remains: readonly Item[],
): number {
  const left = remains.map((item) => lineOf(item, "warning", `remains: ${item.advice ?? "try again"}`));
  if (json) terminal.out(forPrograms(lines, { remains: remains.map(({ what, path }) => ({ what, path })) }));
  else {
    terminal.out(forPeople([...lines, ...left], painter(terminal.colours)));
    if (left.length === 0) terminal.out("There is nothing else of slash32 on this node.\n");
  }
  return left.length > 0 ? Exit.found : Exit.ok;
}
