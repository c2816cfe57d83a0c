// Packs slash32 as a container image, an archive that containerd, podman and registries' tools read:
// dist/slash32-VERSION.tar. What the Dockerfile says is what is in it. A second executable is taken for another
// architecture: image.ts [ARCHITECTURE=EXECUTABLE...]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ARCHITECTURE, packImage } from "./oci-archive.ts";

const ROOT = join(import.meta.dirname, "..");
const EXECUTABLE = "bin/slash32";
const { name, description, license, version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** As deploy/base calls it. Nobody can put another one under this name into a registry. */
export const IMAGE = `localhost/${name}:${version}`;

/** Writes the image, of executables by architecture, to `path`. */
export function packSlash32(path: string, executables: Readonly<Record<string, string>>): void {
  const files = Object.entries(executables).map(([architecture, file]) => [architecture, { slash32: file }]);
  packImage(path, {
    name: IMAGE,
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
  const others = process.argv.slice(2).map((argument) => argument.split("="));
  const path = `dist/${name}-${version}.tar`;
  packSlash32(join(ROOT, path), { [ARCHITECTURE]: join(ROOT, EXECUTABLE), ...Object.fromEntries(others) });
  console.log(`${IMAGE} in ${path}`);
}
