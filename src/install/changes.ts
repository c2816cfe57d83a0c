// What has to become of the node: a list of files, held against those that are there.
import { type ConfFile, isOurs, readConfDir } from "../cli/node/configuration.ts";
import { Files } from "../cli/node/files.ts";
import type { Node } from "../cni/node.ts";
import { VERSION } from "../generated/version.ts";
import { basename, join } from "../paths.ts";
import { type Content, holds } from "./aside.ts";
import type { List } from "./list.ts";
import { isMarked, marked } from "./mark.ts";
import type { Places } from "./places.ts";
import type { Line } from "./report.ts";

export type Change = {
  readonly what: "executable" | "node file" | "list" | "older list";
  /** As the node calls it. */
  readonly path: string;
  /** The same, from here. */
  readonly seen: string;
  readonly words: string;
} & (
  | {
      readonly kind: "write";
      readonly content: Content;
      readonly mode: number;
      /** Whether it is so already. */
      readonly isDone: boolean;
    }
  | { readonly kind: "remove" }
);

export interface Installation {
  readonly places: Places;
  readonly confName: string;
  readonly list: List;
  readonly facts: Node;
  readonly mtu: number | undefined;
}

/** The executable that is running, whatever has become of its file. */
const ITSELF = "/proc/self/exe";

/** Thin and thick: it hands pods on to the next list, which may be ours. */
const MULTUS: readonly string[] = ["multus", "multus-shim"];

/** In the order in which they take effect: a list that a runtime sees can always be served. Throws for a name that is taken. */
export function changes(installation: Installation): Change[] {
  const { places, confName, list, mtu } = installation;
  const podCIDRs = Object.values(installation.facts.podCidrs);
  const mtuWords = mtu === undefined ? "the MTU of the host's way out" : `MTU ${mtu}`;
  const followers = list.plugins.map(({ type }) => type).filter((type) => type !== "slash32");
  const listWords = [
    `network ${list.name}`,
    `CNI ${list.cniVersion}`,
    ...followers.map((type) => `with ${type}`),
  ];
  refuseTaken(installation);
  return [
    file(places, "executable", places.executable, ITSELF, `slash32 ${VERSION}`),
    file(places, "node file", places.nodeFile, json({ podCIDRs, mtu }), [...podCIDRs, mtuWords].join(", ")),
    file(places, "list", join(places.confDir, confName), json(marked(list), 2), listWords.join(", ")),
    ...olderLists(installation),
  ];
}

/** What a runtime meets before our list, and whether it takes that instead. */
export function earlierLists(installation: Installation): (Line & { readonly isInstead: boolean })[] {
  const older = olderLists(installation).map(({ path }) => path);
  return listsOf(installation.places)
    .filter(({ path }) => basename(path) < installation.confName && !older.includes(path))
    .map(({ path, network, broken, plugins }) => {
      const words = broken
        ? `comes first and cannot be loaded (${broken}): containerd stops at it`
        : `comes first: runtimes take network ${JSON.stringify(network)} instead`;
      const isInstead = !MULTUS.includes(plugins[0]?.type ?? "");
      return { what: "other list", path, kind: "warning", words, isInstead };
    });
}

/** What goes with the list that is replaced: no error, but pods to come would miss it without a word. */
export function droppedPlugins({ places, confName, list }: Installation): Line[] {
  const kept = list.plugins.map(({ type }) => type);
  const replaced = listsOf(places).filter((file) =>
    basename(file.path) === confName ? isOurs(file) : isMarked(file) && file.network === list.name,
  );
  return replaced.flatMap(({ path, plugins }) =>
    plugins
      .filter(({ type }) => !kept.includes(type))
      .map(({ type }) => {
        const advice = `see whether ${join(places.binDir, type)} is there, or name it with --conflist`;
        return {
          what: "plugin",
          path: type,
          kind: "warning",
          words: `was in ${path}, and is not any more: ${advice}`,
        };
      }),
  );
}

/** The lists of the runtime's directory, by their paths on the node. */
export function listsOf(places: Places): ConfFile[] {
  const here = { files: new Files("/"), path: places.seen(places.confDir) };
  return readConfDir(here).map((list) => ({ ...list, path: join(places.confDir, basename(list.path)) }));
}

function file(places: Places, what: Change["what"], path: string, content: Content, words: string): Change {
  const seen = places.seen(path);
  const mode = what === "executable" ? 0o755 : 0o600;
  return { what, path, seen, words, kind: "write", content, mode, isDone: holds(seen, content, mode) };
}

function json(value: object, indent?: number): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, undefined, indent)}\n`);
}

/** Somebody else's list is not ours to replace, whatever it is called. */
function refuseTaken({ places, confName }: Installation): void {
  const taken = listsOf(places).find(({ path }) => basename(path) === confName);
  if (taken === undefined || taken.broken !== undefined || isOurs(taken)) return;
  throw new Error(
    `Cannot write ${taken.path}: it is of network ${JSON.stringify(taken.network)}, without slash32; choose another --conf-name`,
  );
}

/** What an installation under another name left of this network. */
function olderLists({ places, confName, list }: Installation): Change[] {
  return listsOf(places)
    .filter((file) => isMarked(file) && file.network === list.name && basename(file.path) !== confName)
    .map(({ path }) => ({
      what: "older list",
      path,
      seen: places.seen(path),
      words: `network ${list.name}`,
      kind: "remove",
    }));
}
