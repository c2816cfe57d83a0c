// Which lists in the runtime's directory are ours to replace and to remove: those that say so themselves. A record of our
// own could be lost, or outlive what it tells of.
import { type ConfFile, isOurs } from "../cli/node/configuration.ts";
import type { List } from "./list.ts";

/** In our entry of a list; slash32 itself, and every version of it, passes over keys that it does not know. */
const MARK = { writtenBy: "slash32 install" } as const;

export function marked({ plugins, ...head }: List): List {
  return {
    ...head,
    plugins: plugins.map((entry) => (entry.type === "slash32" ? { ...entry, ...MARK } : entry)),
  };
}

/** Whether `slash32 install` wrote it. */
export function isMarked(file: ConfFile): boolean {
  return file.plugins.some(({ type, writtenBy }) => type === "slash32" && writtenBy === MARK.writtenBy);
}

/** Whether somebody else wrote it who wants slash32. */
export function isByHand(file: ConfFile): boolean {
  return isOurs(file) && !isMarked(file);
}
