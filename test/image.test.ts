// The image of slash32: what is in it, that it comes out the same, and that the Dockerfile means the same.
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { IMAGE, packSlash32 } from "../scripts/image.ts";
import { ARCHITECTURES, executableFor } from "../scripts/release/files.ts";

const ROOT = join(import.meta.dirname, "..");

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "slash32-image-test-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A file that stands for an executable. */
function executable(name: string, content = name): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

type Blob = { readonly digest: string };

/** Unpacked with tar(1), as anybody could. */
class Archive {
  readonly #directory = mkdtempSync(join(directory, "archive-"));

  constructor(path: string) {
    execaSync("tar", ["-C", this.#directory, "-xf", path]);
  }

  json(path: string) {
    return JSON.parse(readFileSync(join(this.#directory, path), "utf8"));
  }

  blob({ digest }: Blob) {
    return this.json(`blobs/${digest.replace(":", "/")}`);
  }

  /** Mode, owner, size and name of each file in a layer. */
  listed({ digest }: Blob): string[] {
    const layer = join(this.#directory, `blobs/${digest.replace(":", "/")}`);
    const { stdout } = execaSync("tar", ["--numeric-owner", "-tvf", layer]);
    return stdout.split("\n").map((line) => line.replace(/ +/g, " "));
  }
}

/** The image for one architecture, with its parts. */
function single() {
  const path = join(directory, "single.tar");
  packSlash32(path, { amd64: executable("amd64") });
  const archive = new Archive(path);
  const [manifest] = archive.json("index.json").manifests;
  const { config, layers } = archive.blob(manifest);
  return { archive, manifest, layers, image: archive.blob(config) };
}

describe("the archive", () => {
  test("holds one file, executable by all and writable by root, and starts it", () => {
    const { archive, layers, image } = single();
    expect(layers).toHaveLength(1);
    expect(archive.listed(layers[0])).toEqual(["-rwxr-xr-x 0/0 5 1970-01-01 00:00 slash32"]);
    expect(image.config.Entrypoint).toEqual(["/slash32"]);
  });

  test("is named as deploy/base names it", () => {
    const { annotations } = single().manifest;
    expect(new Set(Object.values(annotations))).toEqual(new Set([IMAGE]));
    const daemonSet = readFileSync(join(ROOT, "deploy/base/daemonset.yaml"), "utf8");
    const images = Array.from(daemonSet.matchAll(/^ +image: (.*)$/gm), ([, name]) => name);
    expect(new Set(images)).toEqual(new Set([IMAGE]));
  });

  test("is the same, byte for byte, whatever the times and rights of the files", () => {
    const paths = ["one", "other"].map((name, at) => {
      const file = executable(name, "same");
      utimesSync(file, at, at);
      execaSync("chmod", [at === 0 ? "600" : "777", file]);
      const path = join(directory, `${name}.tar`);
      packSlash32(path, { amd64: file });
      return path;
    });
    const [one, other] = paths.map((path) => readFileSync(path).toString("base64"));
    expect(one).toBe(other);
  });

  test("of two architectures has an index, from which each takes its own", () => {
    const path = join(directory, "both.tar");
    packSlash32(path, { amd64: executable("x86"), arm64: executable("arm") });
    const archive = new Archive(path);
    const [index, ...more] = archive.json("index.json").manifests;
    expect(more).toEqual([]);
    const found = archive.blob(index).manifests.map((manifest: Blob & { platform: object }) => {
      const { config, layers } = archive.blob(manifest);
      const [, , size] = archive.listed(layers[0])[0]?.split(" ") ?? [];
      return [manifest.platform, archive.blob(config).architecture, size];
    });
    expect(found).toEqual([
      [{ os: "linux", architecture: "amd64" }, "amd64", "3"],
      [{ os: "linux", architecture: "arm64" }, "arm64", "3"],
    ]);
  });
});

test("the Dockerfile says the same: files, entry point and labels", () => {
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  const { archive, layers, image } = single();

  expect(dockerfile).toMatch(/^FROM scratch$/m);
  const copied = Array.from(dockerfile.matchAll(/^COPY \$\{EXECUTABLE\} \/(\S+)$/gm), ([, path]) => path);
  expect(copied).toEqual(archive.listed(layers[0]).map((line) => line.split(" ").at(-1)));
  expect(dockerfile.match(/^(COPY|ADD|RUN)\b/gm)).toHaveLength(copied.length);
  const [, entrypoint = ""] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? [];
  expect(JSON.parse(entrypoint)).toEqual(image.config.Entrypoint);
  const labels = Array.from(dockerfile.matchAll(/(org\.opencontainers\S+)="(.*?)"/g), ([, key, value]) => [
    key,
    value,
  ]);
  expect(Object.fromEntries(labels)).toEqual(image.config.Labels);
});

test("the Dockerfile takes each architecture's own executable, and .dockerignore lets these through", () => {
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  const [, path = ""] = /^ARG TARGETARCH\nARG EXECUTABLE=(.*)$/m.exec(dockerfile) ?? [];
  const architectures = Object.keys(ARCHITECTURES);
  const executables = architectures.map((name) => path.replace("$" + "{TARGETARCH}", name));
  expect(executables).toEqual(architectures.map(executableFor));
  const ignored = readFileSync(join(ROOT, ".dockerignore"), "utf8").trim().split("\n");
  const byHand = Array.from(dockerfile.matchAll(/--build-arg EXECUTABLE=(\S+)/g), ([, file]) => file);
  expect(ignored).toEqual(["*", ...[...byHand, ...executables].map((file) => `!${file}`)]);
});
