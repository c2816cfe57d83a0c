// Builds bin/slash32: schemas -> TypeScript, TypeScript -> build/, build/ -> dist/ -> bytecode, linked with the engine.
// Does nothing if no input has changed since the last build; `--force` builds all the same.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { execa } from "execa";
import { compileSchemas, writeIfChanged } from "./compile-schemas.ts";
import { HOST, link, MODULES } from "./link.ts";
import { linkedLicences } from "./linked.ts";

const ROOT = join(import.meta.dirname, "..");
const GENERATED = "src/generated";
const STAMP = "build/inputs.sha256";
const LICENCES = "licenses.txt";
const BUNDLED_LICENCES = `bundled-${LICENCES}`;
/** Whose code is in the bundles. */
const PACKAGES = "packages.json";
const INPUTS = [
  "src",
  "schemas",
  "scripts/build.ts",
  "scripts/build-engine.sh",
  "scripts/compile-schemas.ts",
  "scripts/link.ts",
  "scripts/linked.ts",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
];
/** What the compiler makes of the sources, and what is made of that. */
const BUNDLES: readonly Bundle[] = [
  { entry: "build/engine/globals.js", bundle: "dist/engine/globals.js" },
  { entry: "build/engine/ffi.js", bundle: "dist/engine/ffi.js" },
  { entry: "build/main.js", bundle: "dist/index.js" },
  { entry: "build/cli/main.js", bundle: "dist/cli/cli.js" },
];
const PRODUCTS = [
  "src/generated/validators.ts",
  ...BUNDLES.map(({ bundle }) => bundle),
  `dist/${LICENCES}`,
  `dist/${BUNDLED_LICENCES}`,
  `dist/${PACKAGES}`,
  "bin/slash32",
];

interface Bundle {
  readonly entry: string;
  readonly bundle: string;
}

type Row = readonly [what: string, amount: string];

process.chdir(ROOT);
const inputs = hashInputs();
if (!process.argv.includes("--force") && isCurrent(inputs)) {
  console.log("bin/slash32 is up to date");
} else {
  await build();
  writeFileSync(STAMP, inputs);
}

async function build(): Promise<void> {
  const started = performance.now();
  rmSync("build", { recursive: true, force: true });
  rmSync("dist", { recursive: true, force: true });
  await step("schemas", compileSources);
  await step("tsc", () => run("tsc", ["--project", "tsconfig.build.json"]));
  await step("ncc", bundleAll);
  await step("link", () => link(MODULES, "bin/slash32"));
  collectLicences();
  printTable([["total", seconds(started)], ...PRODUCTS.map((path): Row => [path, kilobytes(path)])]);
}

/** Everything below src/ that is made and not written. */
function compileSources(): void {
  compileSchemas("schemas", `${GENERATED}/validators.ts`);
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  writeIfChanged(`${GENERATED}/version.ts`, `export const VERSION = ${JSON.stringify(version)};\n`);
}

/** One after the other: they write to one directory. The validators' maker is in none of them, its code is. */
async function bundleAll(): Promise<void> {
  const packages = new Set(["ajv"]);
  for (const each of BUNDLES) for (const name of await bundle(each)) packages.add(name);
  writeFileSync(join("dist", PACKAGES), `${JSON.stringify([...packages].sort())}\n`);
}

/** ncc calls every bundle index.js, and leaves a package.json beside it. Returns whose code it is. */
async function bundle({ entry, bundle }: Bundle): Promise<string[]> {
  const [aside, modules] = ["build/ncc", "build/modules.json"];
  await run("ncc", [
    ...["build", entry, "--out", aside, "--license", LICENCES],
    ...["bun:ffi", "engine"].flatMap((name) => ["--external", name]),
    ...["--target", "es2022", "--no-cache", "--quiet", "--stats-out", modules],
  ]);
  const directory = dirname(bundle);
  mkdirSync(directory, { recursive: true });
  writeFileSync(bundle, withoutAssets(readFileSync(join(aside, "index.js"), "utf8")));
  if (existsSync(join(aside, LICENCES))) renameSync(join(aside, LICENCES), `${bundle}.${LICENCES}`);
  rmSync(aside, { recursive: true });
  const names = readFileSync(modules, "utf8").matchAll(/"\.\/node_modules\/((?:@[^/"]+\/)?[^/"]+)\//g);
  return Array.from(names, ([, name]) => name as string);
}

/** Where ncc would look for a package's other files: there are none, and the engine knows of no URL. */
function withoutAssets(code: string): string {
  return code.replace(/^.*__nccwpck_require__\.ab = .*$/m, "");
}

/** ncc lists what it bundled; what the executable is linked with, and the validators' maker, it cannot know. */
function collectLicences(): void {
  const bundled = BUNDLES.map(({ bundle }) => `${bundle}.${LICENCES}`).filter((path) => existsSync(path));
  const ajv = readFileSync("node_modules/ajv/LICENSE", "utf8");
  const texts = [`ajv\nMIT\n${ajv}\n`, ...bundled.map((path) => readFileSync(path, "utf8"))].join("\n");
  writeFileSync(join("dist", BUNDLED_LICENCES), texts);
  writeFileSync(join("dist", LICENCES), `${linkedLicences(HOST)}\n${texts}`);
  for (const path of bundled) rmSync(path);
}

/** Runs a command of node_modules. What it prints is shown only if it fails. */
async function run(command: string, options: readonly string[]): Promise<void> {
  const { failed, all, exitCode, shortMessage } = await execa(join("node_modules/.bin", command), options, {
    all: true,
    reject: false,
  });
  if (!failed) return;
  console.error(all || shortMessage);
  console.error(`Cannot build: ${command} failed`);
  process.exit(exitCode ?? 1);
}

async function step(name: string, work: () => unknown): Promise<void> {
  const started = performance.now();
  await work();
  printTable([[name, seconds(started)]]);
}

function printTable(rows: readonly Row[]): void {
  const width = Math.max(...PRODUCTS.map((path) => path.length));
  for (const [what, amount] of rows) console.log(`  ${what.padEnd(width)}  ${amount.padStart(10)}`);
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(2)} s`;
}

function kilobytes(path: string): string {
  return `${(statSync(path).size / 1000).toFixed(0)} kB`;
}

function isCurrent(hash: string): boolean {
  return (
    PRODUCTS.every((path) => existsSync(path)) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === hash
  );
}

function hashInputs(): string {
  const hash = createHash("sha256");
  for (const path of INPUTS.flatMap(filesBelow))
    hash.update(`${path}\0`).update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

function filesBelow(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(ROOT, entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith(`${GENERATED}/`))
    .sort();
}
