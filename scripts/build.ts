// Builds bin/slash32: schemas -> TypeScript, TypeScript -> build/, build/ -> dist/ -> bin/slash32.
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
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { execa } from "execa";
import { compileOptions } from "./compile-options.ts";
import { compileSchemas, writeIfChanged } from "./compile-schemas.ts";

const ROOT = join(import.meta.dirname, "..");
const GENERATED = "src/generated";
const STAMP = "build/inputs.sha256";
const LICENCES = "licenses.txt";
const INPUTS = [
  "src",
  "schemas",
  "scripts/build.ts",
  "scripts/compile-options.ts",
  "scripts/compile-schemas.ts",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "tsconfig.build.json",
];
/** Beside what every verb loads, what people's commands load: of that a verb neither reads nor sets up anything. */
const BUNDLES = [
  { entry: "build/main.js", bundle: "dist/index.js" },
  { entry: "build/cli/cli.js", bundle: "dist/cli/cli.js" },
];
const PRODUCTS = [
  "src/generated/validators.ts",
  "build/main.js",
  ...BUNDLES.map(({ bundle }) => bundle),
  `dist/${LICENCES}`,
  "bin/slash32",
];

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
  await step("ncc", () => Promise.all(BUNDLES.map(bundle)));
  collectLicences();
  await step("bun", compileExecutable);
  printTable([["total", seconds(started)], ...PRODUCTS.map((path): Row => [path, kilobytes(path)])]);
}

/** Everything below src/ that is made and not written. */
function compileSources(): void {
  compileSchemas("schemas", `${GENERATED}/validators.ts`);
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  writeIfChanged(`${GENERATED}/version.ts`, `export const VERSION = ${JSON.stringify(version)};\n`);
}

/** ncc calls every bundle index.js, and leaves a package.json beside it. */
async function bundle({ entry, bundle }: (typeof BUNDLES)[number]): Promise<void> {
  const directory = dirname(bundle);
  await run("ncc", [
    ...["build", entry, "--out", directory, "--license", LICENCES],
    ...["bun:ffi", "bun:sqlite", ...builtins()].flatMap((name) => ["--external", name]),
    ...["--target", "es2022", "--no-cache", "--quiet"],
  ]);
  renameSync(join(directory, "index.js"), bundle);
}

/** Left to itself ncc asks for these through `createRequire`, which takes 1 ms at each start of the executable. */
function builtins(): string[] {
  return builtinModules.filter((name) => /^[a-z_]+$/.test(name)).map((name) => `node:${name}`);
}

/** ncc lists what it bundled; the runtime that the executable begins with, and the validators' maker, it cannot know. */
function collectLicences(): void {
  const bundled = BUNDLES.map(({ bundle }) => join(dirname(bundle), LICENCES)).filter((path) =>
    existsSync(path),
  );
  const others = ["bun", "ajv"].map((name) => {
    const { license, version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    return `${name} ${version}\n${license}\n`;
  });
  const texts = [...others, ...bundled.map((path) => readFileSync(path, "utf8"))];
  writeFileSync(join("dist", LICENCES), texts.join("\n"));
}

/** Written aside and renamed, so that a test or a runtime that starts it never meets half an executable. */
async function compileExecutable(): Promise<void> {
  const aside = "build/slash32";
  await run("bun", compileOptions("dist/index.js", aside));
  mkdirSync("bin", { recursive: true });
  renameSync(aside, "bin/slash32");
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
