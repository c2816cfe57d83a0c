// All that is of slash32 on a node, each by the mark that makes it ours, in the order in which it is to go.
import { formatPrefix } from "../address.ts";
import { type ConfFile, readConfFile } from "../cli/node/configuration.ts";
import { Files } from "../cli/node/files.ts";
import { DEFAULT_STATE_DIR, type NetconfDocument } from "../cni/netconf.ts";
import { linkName, listHostEnds, listPodRoutes } from "../datapath/host.ts";
import type { Namespace } from "../datapath/netns.ts";
import { listDirectory } from "../directories.ts";
import { findEntry } from "../files.ts";
import { listStores, removeStore } from "../ipam/store.ts";
import { journalFiles } from "../journal.ts";
import { basename, dirname, join } from "../paths.ts";
import { listSetAside, listUnfinished, putBack, remove, setAside } from "./aside.ts";
import { attachmentsOn } from "./attachments.ts";
import { listsOf } from "./changes.ts";
import { removeIfEmpty } from "./lock.ts";
import { isByHand, isMarked } from "./mark.ts";
import type { Places } from "./places.ts";

export interface Item {
  readonly what: string;
  /** On the node; or how else it is called. */
  readonly path: string;
  /**
   * Takes effect at once for a runtime, and is the same again for whoever was killed after it. Returns what makes it
   * undone.
   */
  hide?(): () => void;
  /** Absent for what is not ours to remove. */
  readonly remove?: () => void;
  /** What a person may type where it is not ours. */
  readonly advice?: string;
}

/** Looks, and changes nothing. */
export function inventory(places: Places, host: Namespace): Item[] {
  const lists = ownLists(places);
  const documents = lists.map(({ file }) => entryOf(file));
  const stateDirs = new Set([
    places.stateDir,
    ...documents.map(({ stateDir }) => stateDir ?? DEFAULT_STATE_DIR),
  ]);
  const logFiles = documents.flatMap(({ logFile }) => (logFile === undefined ? [] : journalFiles(logFile)));
  return [
    ...listsOf(places).filter(isByHand).map(byHand),
    ...attachmentsOn(
      places,
      host,
      [...stateDirs],
      lists.map(({ file }) => file),
    ),
    ...strayRoutes(host),
    ...[...stateDirs].flatMap((stateDir) => stateIn(places, stateDir)),
    ...existing("log", places, logFiles),
    ...lists.map(({ item }) => item),
    ...unfinished(places),
    ...executable(places),
    ...[...stateDirs].flatMap((stateDir) => directory(places, stateDir, logFiles)),
  ];
}

/** Lists of ours, also those that somebody has set aside who was killed then. */
function ownLists(places: Places): { readonly file: ConfFile; readonly item: Item }[] {
  const inPlace = listsOf(places).filter(isMarked);
  const directory = places.seen(places.confDir);
  const aside = listSetAside(directory).map(({ path, name }) => {
    const file = readConfFile(new Files("/"), path, name);
    return {
      file,
      item: { what: "list", path: join(places.confDir, basename(path)), remove: () => remove(path) },
    };
  });
  const current = inPlace.map((file) => {
    let path = places.seen(file.path);
    const hide = () => {
      const inPlace = path;
      path = setAside(path);
      return () => putBack(path, inPlace);
    };
    return { file, item: { what: "list", path: file.path, hide, remove: () => remove(path) } };
  });
  return [...current, ...aside];
}

function entryOf({ plugins, network }: ConfFile): NetconfDocument {
  return { name: network, ...plugins.find(({ type }) => type === "slash32") };
}

function byHand({ path }: ConfFile): Item {
  return { what: "list", path, advice: `slash32 install did not write it: rm ${path}` };
}

/** By their number, and through no interface of ours: who else uses it is for a person to say. */
function strayRoutes(host: Namespace): Item[] {
  const ours = new Set(listHostEnds(host).map(({ index }) => index));
  return listPodRoutes(host)
    .filter(({ oif }) => oif !== undefined && !ours.has(oif))
    .map(({ dst, oif = 0 }) => {
      const dev = linkName(host, oif);
      const words = `${formatPrefix(dst)} dev ${dev} proto 32`;
      return { what: "route", path: words, advice: `${dev} is not ours: ip route delete ${words}` };
    });
}

function stateIn(places: Places, stateDir: string): Item[] {
  const seen = places.seen(stateDir);
  const stores = listStores(seen).map((network) => ({
    what: "leases",
    path: join(stateDir, network),
    remove: () => removeStore(seen, network),
  }));
  return [...stores, ...existing("node file", places, [join(stateDir, "node.json")])];
}

function unfinished(places: Places): Item[] {
  const found = [places.binDir, places.confDir, places.stateDir].flatMap((directory) =>
    listUnfinished(places.seen(directory)).map((path) => join(directory, basename(path))),
  );
  return existing("unfinished", places, [...found, places.trialDir]);
}

function executable(places: Places): Item[] {
  return existing("executable", places, [places.executable]);
}

/** The directory goes when all else in it has gone; what is none of ours keeps it. */
function directory(places: Places, stateDir: string, logFiles: readonly string[]): Item[] {
  const seen = places.seen(stateDir);
  if (findEntry(seen) === undefined) return [];
  const known = [
    ...listStores(seen),
    ...[places.nodeFile, places.lock, places.trialDir].map((path) => basename(path)),
    ...logFiles.filter((path) => dirname(path) === stateDir).map((path) => basename(path)),
  ];
  const unfinished = listUnfinished(seen).map((path) => basename(path));
  const others = listDirectory(seen).filter((name) => ![...known, ...unfinished].includes(name));
  if (others.length === 0) return [{ what: "directory", path: stateDir, remove: () => removeIfEmpty(seen) }];
  const advice = "slash32 did not make it: see what it is";
  return others.map((name) => ({ what: "other file", path: join(stateDir, name), advice }));
}

function existing(what: string, places: Places, paths: readonly string[]): Item[] {
  return paths
    .filter((path) => findEntry(places.seen(path)) !== undefined)
    .map((path) => ({ what, path, remove: () => remove(places.seen(path)) }));
}
