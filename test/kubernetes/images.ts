// The images of the cluster, as archives: slash32's own, and what the pods are made of.
import { join } from "node:path";
import { packSlash32 } from "../../scripts/image.ts";
import { ARCHITECTURE, packImage } from "../../scripts/oci-archive.ts";
import { packPod } from "../helpers/image.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

/** What the cluster is upgraded to, and comes back from. */
export const OTHER = { version: "9.9.9", image: "localhost/slash32:9.9.9" };

/**
 * Makes them in a directory; their paths. `init` is the program that waits in every pod, `busybox` Debian's, `other` the
 * executable of another version.
 */
export function packImages(
  directory: string,
  init: string,
  busybox: string,
  other: string,
): readonly string[] {
  const own = join(directory, "slash32.tar");
  packSlash32(own, { [ARCHITECTURE]: EXECUTABLE });
  const next = join(directory, "slash32-next.tar");
  packSlash32(next, { [ARCHITECTURE]: other }, OTHER.image);
  const tools = join(directory, "busybox.tar");
  const files = { [ARCHITECTURE]: { busybox } };
  packImage(tools, { name: "localhost/busybox:test", entrypoint: ["/busybox"], files });
  return [own, next, tools, packPod(init, directory)];
}
