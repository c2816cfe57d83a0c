// A container image as an archive in the OCI layout, made of nothing but files: no container engine has to be there.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execaSync } from "execa";

export interface Image {
  /** What it is called once it is loaded. */
  readonly name: string;
  readonly entrypoint: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** By architecture, as Go names it: where each file is taken from, by its path in the image. All are executable. */
  readonly files: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** As Go names the processors that Node.js names otherwise. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64" };

/** This machine's, as Go names it. */
export const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

/** Writes the image to `path`. The same image makes the same archive, wherever and whenever. */
export function packImage(path: string, { name, files, ...image }: Image): void {
  using undo = new DisposableStack();
  const work = undo.adopt(mkdtempSync(join(tmpdir(), "slash32-image-")), (directory) =>
    rmSync(directory, { recursive: true }),
  );
  const archive = new Archive(join(work, "archive"));
  const manifests = Object.entries(files).map(([architecture, sources]) =>
    archive.addManifest(layer(join(work, architecture), sources), { architecture, ...image }),
  );
  archive.finish(manifests, name);
  tar(path, archive.directory, "oci-layout", "index.json", "blobs");
}

/** A tar of the files. */
function layer(directory: string, sources: Readonly<Record<string, string>>): Buffer {
  const root = join(directory, "root");
  for (const [path, source] of Object.entries(sources)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    copyFileSync(source, join(root, path));
  }
  const file = join(directory, "layer.tar");
  tar(file, root, "--mode=a=rx,u+w", ...Object.keys(sources).sort());
  return readFileSync(file);
}

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };
type Manifest = Descriptor & { readonly platform: { readonly os: string; readonly architecture: string } };

class Archive {
  readonly directory: string;
  readonly #blobs: string;

  constructor(directory: string) {
    this.directory = directory;
    this.#blobs = join(directory, "blobs/sha256");
    mkdirSync(this.#blobs, { recursive: true });
  }

  addManifest(
    content: Buffer,
    { architecture, entrypoint, labels }: Omit<Image, "name" | "files"> & { readonly architecture: string },
  ): Manifest {
    const layer = this.#blob("layer.v1.tar", content);
    const platform = { os: "linux", architecture };
    const config = this.#blob("config.v1+json", {
      ...platform,
      config: { Entrypoint: entrypoint, ...(labels && { Labels: labels }) },
      rootfs: { type: "layers", diff_ids: [layer.digest] },
    });
    const mediaType = MEDIA_TYPE("manifest.v1+json");
    const manifest = this.#blob("manifest.v1+json", { schemaVersion: 2, mediaType, config, layers: [layer] });
    return { ...manifest, platform };
  }

  /** One manifest stands for itself, several are behind an index that lets the reader take its own. */
  finish(manifests: readonly Manifest[], name: string): void {
    const [only, ...others] = manifests;
    const mediaType = MEDIA_TYPE("index.v1+json");
    const image =
      others.length === 0 ? only : this.#blob("index.v1+json", { schemaVersion: 2, mediaType, manifests });
    // containerd reads the one, podman the other.
    const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name };
    this.#write("index.json", { schemaVersion: 2, manifests: [{ ...image, annotations }] });
    this.#write("oci-layout", { imageLayoutVersion: "1.0.0" });
  }

  #blob(type: string, content: Buffer | object): Descriptor {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(this.#blobs, hash), bytes);
    return { mediaType: MEDIA_TYPE(type), digest: `sha256:${hash}`, size: bytes.length };
  }

  #write(file: string, content: object): void {
    writeFileSync(join(this.directory, file), JSON.stringify(content));
  }
}

const MEDIA_TYPE = (type: string) => `application/vnd.oci.image.${type}`;

/** Whatever the times, owners and rights of the files were. */
function tar(path: string, directory: string, ...options: readonly string[]): void {
  const same = ["--format=ustar", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--sort=name"];
  execaSync("tar", ["-C", directory, "-cf", path, ...same, "--mode=a+rX,u+w,go-w", ...options]);
}
