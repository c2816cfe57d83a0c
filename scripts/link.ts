// The last step of the build: modules become bytecode, which is linked with the engine to one static executable.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { execa } from "execa";

/** The kind of machine that an executable is for, and the root of its libraries: this machine's if nothing is said. */
export interface Target {
  readonly triplet: string;
  readonly sysroot?: string;
}

/** This machine. */
export const HOST: Target = { triplet: `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu` };

export interface Module {
  /** As it is imported. */
  readonly name: string;
  /** Its source. */
  readonly bundle: string;
}

/**
 * What the executable consists of. Beside what every verb loads, what people's commands load: of that a verb neither reads
 * nor sets up anything.
 */
export const MODULES: readonly Module[] = [
  { name: "globals", bundle: "dist/engine/globals.js" },
  { name: "bun:ffi", bundle: "dist/engine/ffi.js" },
  { name: "main", bundle: "dist/index.js" },
  { name: "cli", bundle: "dist/cli/cli.js" },
];

/** Where build-engine.sh puts QuickJS for a kind of machine. */
export function engine({ triplet, sysroot = "node_modules/.cache/slash32/engine" }: Target): string {
  return `${sysroot}/quickjs-2025.04.26-${triplet}`;
}

/** Makes the executable at `path`. Rejects with what the compiler says. */
export async function link(modules: readonly Module[], path: string, target = HOST): Promise<void> {
  for (const { triplet, sysroot } of new Set([HOST, target]))
    await execa("sh", ["scripts/build-engine.sh", triplet, ...(sysroot ? [sysroot] : [])], INHERIT);
  mkdirSync("build", { recursive: true });
  const work = mkdtempSync("build/link-");
  try {
    await linkIn(work, modules, path, target);
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function linkIn(work: string, modules: readonly Module[], path: string, target: Target): Promise<void> {
  const tables = join(work, "tables.c");
  writeFileSync(tables, `${symbolTable()}\n${moduleTable(await compiled(modules, work))}`);

  const aside = join(work, "slash32");
  await execa(`${target.triplet}-gcc`, [
    ...(target.sysroot ? [`--sysroot=${resolve(target.sysroot)}`] : []),
    ...["-O2", "-static", "-s", "-Wl,--gc-sections", "-o", aside],
    ...["-I", engine(target), "src/engine/engine.c", "src/engine/memory.c", "-fno-builtin", tables],
    ...[`${engine(target)}/libquickjs.a`, "-lsqlite3", "-lssl", "-lcrypto", "-lm"],
  ]);
  // Written aside and renamed, so that a test or a runtime that starts it never meets half an executable.
  mkdirSync(dirname(path), { recursive: true });
  renameSync(aside, path);
}

const INHERIT = { stderr: "inherit" } as const;

/** Bytecode is alike on all machines with 64 bits whose least significant byte comes first. */
async function compiled(modules: readonly Module[], work: string): Promise<{ name: string; path: string }[]> {
  const compiler = join(work, "compile");
  const quickjs = engine(HOST);
  await execa("gcc", [
    "-O2",
    "-I",
    quickjs,
    "-o",
    compiler,
    "src/engine/compile.c",
    `${quickjs}/libquickjs.a`,
    "-lm",
  ]);
  return Promise.all(
    modules.map(async ({ name, bundle }, at) => {
      const path = join(work, `${at}.bytecode`);
      await execa(compiler, [name, bundle, path]);
      return { name, path };
    }),
  );
}

/** For engine.c: each module between two labels. */
function moduleTable(modules: readonly { name: string; path: string }[]): string {
  const labels = modules.map(({ path }, at) => {
    const lines = [`.balign 8`, `module${at}: .incbin \\"${path}\\"`, `module${at}_end: .byte 0`];
    return [
      `extern const uint8_t module${at}[], module${at}_end[];`,
      `__asm__(".pushsection .rodata\\n" ${lines.map((line) => `"${line}\\n"`).join(" ")} ".popsection");`,
    ].join("\n");
  });
  const entries = modules.map(({ name }, at) => `  {${JSON.stringify(name)}, module${at}, module${at}_end},`);
  const type = "struct module { const char *name; const uint8_t *start, *end; };";
  return [
    "#include <stdint.h>",
    type,
    ...labels,
    "const struct module modules[] = {",
    ...entries,
    "  {0}};",
    "",
  ].join("\n");
}

/** For engine.c: the C functions that the sources name. Declared as what they are not, for only addresses are wanted. */
function symbolTable(): string {
  const names = [...new Set(sources().flatMap(namedIn))].sort();
  return [
    ...names.map((name) => `extern char ${name}[];`),
    "struct symbol { const char *name; void *address; };",
    "const struct symbol symbols[] = {",
    ...names.map((name) => `  {"${name}", ${name}},`),
    "};",
    "const unsigned long symbol_count = sizeof symbols / sizeof *symbols;",
    "",
  ].join("\n");
}

function sources(): string[] {
  const names = readdirSync("src", { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => readFileSync(join("src", name), "utf8"));
}

/** In the tables of dlopen(), and in calls of the engine's own bind(). */
function namedIn(source: string): string[] {
  if (!/from "(bun:ffi|engine)"/.test(source)) return [];
  const found = source.matchAll(/^ +(\w+): \{ args: \[|\bbind\("(\w+)"/gm);
  return Array.from(found, ([, declared, bound]) => (declared ?? bound) as string);
}
