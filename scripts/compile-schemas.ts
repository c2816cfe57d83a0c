// Compiles schemas/ to plain functions, so that a running plugin neither loads nor runs a schema compiler.
// schemas/netconf.schema.json becomes the export `validateNetconf` of src/generated/validators.ts.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AnySchemaObject } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import standalone from "ajv/dist/standalone/index.js";

const SUFFIX = ".schema.json";

/** Writes one exported `ValidateFunction` for each schema in `directory` to `target`, if that changes anything. */
export function compileSchemas(directory: string, target: string): void {
  const ajv = new Ajv2020({
    allErrors: true,
    verbose: true,
    strict: true,
    code: { source: true, esm: true },
  });
  const exported: Record<string, string> = {};
  for (const file of readdirSync(directory).sort()) {
    if (!file.endsWith(SUFFIX)) continue;
    const schema: AnySchemaObject = JSON.parse(readFileSync(join(directory, file), "utf8"), withoutWords);
    const key = schema.$id ?? file;
    ajv.addSchema(schema, key);
    exported[validatorName(file)] = key;
  }
  writeIfChanged(target, asModule(standalone.default(ajv, exported)));
}

/** What is for people to read would be set up by every verb. */
function withoutWords(key: string, value: unknown): unknown {
  return ["$schema", "title", "description", "default"].includes(key) && typeof value !== "object"
    ? undefined
    : value;
}

/** Writes a file only if its content changes, so that what watches it sees no change where there is none. */
export function writeIfChanged(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  if (readIfExists(path) !== content) writeFileSync(path, content);
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** `node.schema.json` gives `validateNode`, `bgp-peer.schema.json` gives `validateBgpPeer`. */
function validatorName(file: string): string {
  const words = file.slice(0, -SUFFIX.length).split("-");
  return `validate${words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("")}`;
}

/** What ajv writes is a module but for its own functions, which it still asks for with `require`. */
function asModule(code: string): string {
  const imports: string[] = [];
  const body = code
    .replace(/^"use strict";/, "")
    .replace(/const (\w+) = require\("([^"]+)"\)\.default;?/g, (_, name, path) => {
      imports.push(`import ${name}Module from "${path}.js";`);
      // Loaders differ in what a CommonJS module's default import is: its exports or their `default`.
      return `const ${name} = ${name}Module.default ?? ${name}Module;`;
    })
    .replace(/export const (\w+) = (\w+);/g, "\nexport const $1: ValidateFunction = $2;\n");
  if (body.includes("require(")) {
    throw new Error("Cannot compile the schemas: ajv's code has a `require` of an unknown form");
  }
  return [
    "// @ts-nocheck",
    "// Made from schemas/ by scripts/compile-schemas.ts.",
    'import type { ValidateFunction } from "ajv";',
    ...imports,
    body,
    "",
  ].join("\n");
}

if (import.meta.main) compileSchemas("schemas", "src/generated/validators.ts");
