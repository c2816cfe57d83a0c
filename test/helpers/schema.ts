/** The shapes the CNI specification promises for each version, as strict JSON Schemas: test/conformance/schemas. */

import { readdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { Ajv, type ErrorObject } from "ajv";

export const CNI_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type CniVersion = (typeof CNI_VERSIONS)[number];

export type SchemaName = `result-${CniVersion}` | "error" | "version";

const DIRECTORY = join(import.meta.dirname, "../conformance/schemas");

const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, strictRequired: false });
ajv.addFormat("ip4", (text) => isCanonical(text, 4));
ajv.addFormat("ip6", (text) => isCanonical(text, 6));
ajv.addFormat("cidr4", (text) => isCidr(text, 4));
ajv.addFormat("cidr6", (text) => isCidr(text, 6));
for (const file of readdirSync(DIRECTORY)) {
  ajv.addSchema(JSON.parse(readFileSync(join(DIRECTORY, file), "utf8")), file);
}

/** Throws, with every deviation and the value it was found in, unless the value has the shape of that name. */
export function assertValid(schemaName: SchemaName, value: unknown): void {
  const validate = ajv.getSchema(`${schemaName}.schema.json`);
  if (validate === undefined) throw new Error(`Cannot find the schema "${schemaName}" in ${DIRECTORY}`);
  if (validate(value)) return;
  const deviations = (validate.errors ?? []).map(deviation).join("\n");
  throw new Error(`Cannot accept this as ${schemaName}:\n${deviations}\n${JSON.stringify(value, null, 2)}`);
}

function deviation({ instancePath, message, params, data }: ErrorObject): string {
  const { additionalProperty, allowedValue, allowedValues } = params;
  const wanted = additionalProperty ?? allowedValue ?? allowedValues;
  const detail = wanted === undefined ? "" : ` (${JSON.stringify(wanted)})`;
  return `  ${instancePath || "/"} ${message}${detail}, it is ${JSON.stringify(data) ?? "undefined"}`;
}

/** One spelling an address: no leading zeroes in IPv4, RFC 5952 in IPv6. */
function isCanonical(text: string, family: 4 | 6): boolean {
  if (isIP(text) !== family || text.includes("%")) return false;
  return family === 4 || new URL(`http://[${text}]/`).hostname === `[${text}]`;
}

function isCidr(text: string, family: 4 | 6): boolean {
  const [address = "", length = "", ...rest] = text.split("/");
  const isLength = /^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
  return rest.length === 0 && isLength && isCanonical(address, family);
}
