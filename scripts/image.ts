// Packs slash32 as a container image, an archive that containerd, podman and registries' tools read:
// dist/slash32-VERSION.tar. What the Dockerfile says is what is in it: for this architecture, or for all that there is a
// release for.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ARCHITECTURE, packImage } from "./oci-archive.ts";
import { releasedExecutables } from "./release/files.ts";

const ROOT = join(import.meta.dirname, "..");
const { name, description, license, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** As deploy/base calls it. Nobody can put another one under this name into a registry. */
export const IMAGE = `localhost/${name}:${version}`;

/** Writes the image, of executables by architecture, to `path`. */
export function packSlash32(
  path: string,
  executables: Readonly<Record<string, string>>,
  image = IMAGE,
): void {
  const files = Object.entries(executables).map(([architecture, file]) => [architecture, { slash32: file }]);
  packImage(path, {
    name: image,
    entrypoint: ["/slash32"],
    labels: {
      "org.opencontainers.image.title": name,
      "org.opencontainers.image.description": description,
      "org.opencontainers.image.version": version,
      "org.opencontainers.image.licenses": license,
    },
    files: Object.fromEntries(files),
  });
}

if (import.meta.main) {
  process.chdir(ROOT);
  const executables = releasedExecutables() ?? { [ARCHITECTURE]: "bin/slash32" };
  const path = `dist/${name}-${version}.tar`;
  packSlash32(path, executables);
  console.log(`${IMAGE} in ${path}: ${Object.keys(executables).join(" and ")}`);
}
