// `npm run release [-- --verify]`: makes release/, the executables for all architectures with their bills of materials,
// licences and sums; with --verify once more, elsewhere, and compares. Needs root, and the packages of `setup.sh release`.
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ExecaError, execa } from "execa";
import { HOST, link, MODULES, type Target } from "../link.ts";
import { LINKED, linkedLicences } from "../linked.ts";
import { billOfMaterials } from "./bill.ts";
import { ARCHITECTURES, type Architecture, executableFor, RELEASE, RELEASED } from "./files.ts";
import { tryInGuest } from "./guest.ts";

/** Until all is there. */
const ASIDE = "build/release";
const SUMS = "SHA256SUMS";

process.chdir(resolve(import.meta.dirname, "../.."));
process.exit(await main().catch(explained));

/** Returns the exit status: 0 if all was made, 1 if it came out otherwise the second time. */
async function main(): Promise<number> {
  const { values } = parseArgs({ options: { verify: { type: "boolean", default: false } } });
  rmSync(ASIDE, { recursive: true, force: true });
  rmSync(RELEASED, { force: true });
  mkdirSync(join(ASIDE, RELEASE), { recursive: true });
  const architectures = Object.keys(ARCHITECTURES) as Architecture[];
  for (const architecture of architectures) await make(architecture);
  finish(architectures);
  return values.verify ? await verify() : 0;
}

async function make(architecture: Architecture): Promise<void> {
  const target = targetFor(architecture);
  say(architecture, "fetches Debian's libraries");
  await execa("sh", ["scripts/release/sysroot.sh", architecture, target.sysroot], { stderr: "inherit" });
  const path = join(ASIDE, executableFor(architecture));
  await link(MODULES, path, target);
  say(architecture, "linked");

  await tryOut(architecture, path);
  const packages = JSON.parse(readFileSync("dist/packages.json", "utf8"));
  writeFileSync(`${path}.cdx.json`, billOfMaterials({ path, architecture, target }, packages));
}

async function tryOut(architecture: Architecture, path: string): Promise<void> {
  const { triplet, emulator } = ARCHITECTURES[architecture];
  const command = triplet === HOST.triplet ? [path] : [emulator, path];
  const trial = ["scripts/lab.sh", "bash", "scripts/release/trial.sh", "bin/slash32", ...command];
  const { stdout } = await execa("bash", trial, { stdin: "ignore", stderr: "inherit" });
  const where = triplet === HOST.triplet ? "here" : `in ${emulator}`;
  say(architecture, `tried ${where}: ${stdout.split("\n").join(", ")}`);

  if (architecture !== "arm64") return;
  const tried = await tryInGuest(path, join(ASIDE, "guest"));
  say(architecture, `tried in a guest: ${tried.join(", ")}`);
}

function targetFor(architecture: Architecture): Target & { readonly sysroot: string } {
  return { triplet: ARCHITECTURES[architecture].triplet, sysroot: join(ASIDE, `root-${architecture}`) };
}

/** Licences, sums, and the table; then it is a release. */
function finish(architectures: readonly Architecture[]): void {
  const directory = join(ASIDE, RELEASE);
  writeFileSync(join(directory, "LICENSES.txt"), licences(architectures));
  const files = readdirSync(directory).sort();
  const sums = files.map((file) => `${sha256(join(directory, file))}  ${file}\n`);
  writeFileSync(join(directory, SUMS), sums.join(""));

  rmSync(RELEASE, { recursive: true, force: true });
  renameSync(directory, RELEASE);
  copyFileSync("build/inputs.sha256", RELEASED);
  for (const architecture of architectures) say(architecture, versions(targetFor(architecture)).join(", "));
  for (const file of [...files, SUMS]) console.log(`  ${row(join(RELEASE, file))}`);
}

/** They are the same for all architectures; where not, all are there. */
function licences(architectures: readonly Architecture[]): string {
  const linked = new Set(architectures.map((architecture) => linkedLicences(targetFor(architecture))));
  const own = readFileSync("LICENSE", "utf8");
  return [`slash32\n${own}`, ...linked, readFileSync("dist/bundled-licenses.txt", "utf8")].join("\n\n");
}

function versions(target: Target): string[] {
  return LINKED.map(({ source, origin }) => `${source} ${origin(target).version}`);
}

function row(path: string): string {
  const bytes = readFileSync(path);
  return `${path.padEnd(38)} ${(bytes.length / 1000).toFixed(0).padStart(6)} kB  ${sha256(path).slice(0, 16)}…`;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** What a command said of it is on the screen already. */
function explained(error: Error): number {
  console.error(`Cannot make a release: ${error instanceof ExecaError ? error.shortMessage : error.message}`);
  return 1;
}

/** From nothing, at another path. */
async function verify(): Promise<number> {
  console.log("Once more, elsewhere");
  const { stdout } = await execa("sh", ["scripts/release/elsewhere.sh"], { stderr: "inherit" });
  const [here, there] = [readFileSync(join(RELEASE, SUMS), "utf8").trim(), stdout];
  if (here === there) {
    console.log("The same, byte for byte");
    return 0;
  }
  console.error(`Cannot reproduce the release: here it is\n${here}\nand elsewhere\n${there}`);
  return 1;
}

function say(architecture: string, what: string): void {
  console.log(`  ${architecture}  ${what}`);
}
