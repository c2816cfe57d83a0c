/** A container image made from nothing: one static executable, compiled here, in an OCI archive. */

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";

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
export function packImage(executable: string, directory: string): string {
  const work = mkdtempSync(join(directory, "image-"));
  const root = join(work, "root");
  const blobs = join(work, "archive/blobs/sha256");
  for (const path of [root, blobs]) mkdirSync(path, { recursive: true });
  copyFileSync(executable, join(root, "pod"));
  const layerPath = join(work, "layer.tar");
  tar(layerPath, root, "pod");

  const blob = (mediaType: string, content: Buffer) => {
    const hash = createHash("sha256").update(content).digest("hex");
    writeFileSync(join(blobs, hash), content);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hash}`,
      size: content.length,
    };
  };
  const layer = blob("layer.v1.tar", readFileSync(layerPath));
  const config = blob("config.v1+json", json(configuration(layer.digest)));
  const manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers: [layer] };
  const named = { ...blob("manifest.v1+json", json(manifest)), annotations: NAMES };
  const archive = join(work, "archive");
  writeFileSync(join(archive, "index.json"), json({ schemaVersion: 2, manifests: [named] }));
  writeFileSync(join(archive, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));

  const path = join(directory, "pod.tar");
  tar(path, archive, "oci-layout", "index.json", "blobs");
  return path;
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
/** containerd reads the one, podman the other. */
const NAMES = { "io.containerd.image.name": IMAGE, "org.opencontainers.image.ref.name": IMAGE };
/** As Go names the processors that Node.js names otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64" };

function configuration(layer: string): object {
  return {
    os: "linux",
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    config: { Entrypoint: ["/pod"] },
    rootfs: { type: "layers", diff_ids: [layer] },
  };
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The same files make the same archive. */
function tar(path: string, directory: string, ...names: readonly string[]): void {
  const same = ["--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  execaSync("tar", [...same, "-C", directory, "-cf", path, ...names]);
}
