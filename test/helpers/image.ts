/** A container image made from nothing: one static executable, compiled here. */

import { join } from "node:path";
import { execaSync } from "execa";
import { ARCHITECTURE, packImage } from "../../scripts/oci-archive.ts";

/** What the image is called once it is loaded. */
export const IMAGE = "localhost/pod:test";

const SOURCE = join(import.meta.dirname, "../fixtures/runtimes/pod.c");

/** Compiles the program of the image into a directory; its path. See test/fixtures/runtimes/pod.c. */
export function buildPod(directory: string): string {
  const executable = join(directory, "pod");
  execaSync("gcc", ["-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-o", executable, SOURCE]);
  return executable;
}

/** Packs the program as the image IMAGE, with itself as entry point; the path of the archive. */
export function packPod(executable: string, directory: string): string {
  const archive = join(directory, "pod.tar");
  packImage(archive, { name: IMAGE, entrypoint: ["/pod"], files: { [ARCHITECTURE]: { pod: executable } } });
  return archive;
}
