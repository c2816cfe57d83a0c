// The bill of materials of an executable, in CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/): of what npm knows, what
// is in the bundles; and what is linked in, as Debian knows it. The same for the same executable, whenever it is made.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { execaSync } from "execa";
import type { Target } from "../link.ts";
import { type Component, LINKED } from "../linked.ts";

interface Entry {
  readonly "bom-ref": string;
  readonly name: string;
}

/** The parts of npm's that are used here. */
interface Bill {
  readonly metadata: { readonly component: Entry; readonly tools: unknown };
  readonly components: readonly Entry[];
}

export interface Executable {
  readonly path: string;
  readonly architecture: string;
  readonly target: Target;
}

/** As text. `packages` are the names of npm's that are in the bundles. */
export function billOfMaterials(
  { path, architecture, target }: Executable,
  packages: readonly string[],
): string {
  const { metadata, components, ...bill } = npmBill();
  const { name, version, description, license } = JSON.parse(readFileSync("package.json", "utf8"));
  const sum = createHash("sha256").update(readFileSync(path)).digest("hex");
  const purl = `pkg:generic/${name}@${version}?arch=${architecture}&os=linux`;
  const parts = [...components.filter((each) => packages.includes(each.name)), ...linked(target)];
  const whole = {
    ...{ "bom-ref": purl, type: "application", name, version, description, purl },
    hashes: [{ alg: "SHA-256", content: sum }],
    licenses: [{ license: { id: license } }],
  };
  return `${JSON.stringify(
    {
      ...bill,
      serialNumber: `urn:uuid:${uuidOf(sum)}`,
      metadata: { lifecycles: [{ phase: "build" }], tools: metadata.tools, component: whole },
      components: parts,
      dependencies: [
        { ref: purl, dependsOn: parts.map((part) => part["bom-ref"]) },
        ...parts.map((part) => ({ ref: part["bom-ref"], dependsOn: [] })),
      ],
    },
    null,
    2,
  )}\n`;
}

function npmBill(): Bill {
  const { stdout } = execaSync("npm", ["sbom", "--sbom-format", "cyclonedx"]);
  return JSON.parse(stdout);
}

function linked(target: Target): Entry[] {
  return LINKED.map((component) => entryOf(component, target));
}

/** Scanners find Debian's notices by the source package, `upstream` (https://github.com/package-url/purl-spec). */
function entryOf({ name, source, licence, origin }: Component, target: Target) {
  const { package: binary, version, distribution, architecture } = origin(target);
  const upstream = binary === source ? "" : `&upstream=${source}`;
  const qualifiers = `arch=${architecture}&distro=${distribution}${upstream}`;
  const purl = `pkg:deb/debian/${binary}@${encodeURIComponent(version)}?${qualifiers}`;
  const licences = licence.includes(" ") ? { expression: licence } : { license: { id: licence } };
  return {
    "bom-ref": purl,
    type: "library",
    name: source,
    version,
    description: name,
    purl,
    licenses: [licences],
  };
}

/** Version 8 (RFC 9562): made of what is ours to choose. */
function uuidOf(sum: string): string {
  const [, a, b, c, d, e] = /^(.{8})(.{4}).(.{3}).(.{3})(.{12})/.exec(sum) as unknown as string[];
  return `${a}-${b}-8${c}-a${d}-${e}`;
}
