// A configuration as people have it at hand: what a runtime sends, or the list it takes that from.
import { type Netconf, readNetconf } from "../cni/netconf.ts";

/**
 * Reads a network configuration; of a list (`plugins`), the entry of type slash32, with the list's name and version as
 * a runtime would send it. Throws a CniError for what is neither.
 */
export function readConfiguration(text: string): Netconf {
  return readNetconf(entryOf(text) ?? text);
}

function entryOf(text: string): string | undefined {
  let list: { name?: unknown; cniVersion?: unknown; plugins?: unknown };
  try {
    list = JSON.parse(text) ?? {};
  } catch {
    return undefined; // readNetconf tells what is wrong with it
  }
  if (!Array.isArray(list.plugins)) return undefined;
  const entry = list.plugins.find((plugin) => plugin?.type === "slash32");
  if (entry === undefined) throw new Error("Cannot use this list: none of its plugins has the type slash32");
  return JSON.stringify({ ...entry, name: list.name, cniVersion: list.cniVersion });
}
