// The runtime's plugins beside ours, of which a container may see no more than the directory.
import { findEntry, isExecutable } from "../files.ts";
import { dirname, join } from "../paths.ts";
import type { Places } from "./places.ts";

/**
 * Whether the plugin can be started from here; is the node's alone to start, as it lies behind a link that leads out of
 * what is seen of the node; or is not there.
 */
export function lookFor(type: string, places: Places): "here" | "on the node" | "nowhere" {
  const path = join(places.seen(places.binDir), type);
  if (isExecutable(path)) return "here";
  if (places.root === "/" || findEntry(path)?.kind !== "link") return "nowhere";
  const target = places.seen(join(places.binDir, type));
  const isSeen = findEntry(dirname(target)) !== undefined;
  return isExecutable(target) || !isSeen ? "on the node" : "nowhere";
}
