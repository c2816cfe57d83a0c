/** What every answer has to be, however bad the request was. */

import { assertValid, type SchemaName } from "../helpers/schema.ts";
import type { BadRequest } from "./input.ts";

export type Judged = { readonly exitCode: number; readonly json: unknown };

/** Codes of requests that are wrong, or not to be served now; none of a bug. */
const CODES = new Set([1, 4, 5, 6, 7, 8, 11, 50, 51, 100, 101, 102, 103, 104, 105]);

/** What is longer is not looked into. */
const LONGEST_INPUT_BYTES = 8 * 2 ** 20;

/** Throws unless the answer has the shape of the specification and the class of code that the request deserves. */
export function assertDeserved({ environment, stdin }: BadRequest, { exitCode, json }: Judged): void {
  const verb = environment.CNI_COMMAND ?? "";
  if (exitCode === 0) {
    assertMaySucceed(verb, json);
    return;
  }
  assertValid("error", json);
  const { code, msg } = json as { code: number; msg: string };
  if (!CODES.has(code)) throw new Error(`Cannot accept code ${code}: ${msg}`);
  if (!/^[A-Z]\w+: \S/.test(msg) || /[\r\n]/.test(msg)) throw new Error(`Cannot accept as words: ${msg}`);
  const wanted = deserved(environment, stdin);
  if (wanted !== undefined && code !== wanted)
    throw new Error(`Cannot accept code ${code} for ${wanted}: ${msg}`);
}

/** There is no sandbox: nothing can be added or be as it should be. What takes away takes away nothing. */
function assertMaySucceed(verb: string, json: unknown): void {
  if (verb === "VERSION") assertVersion(json);
  else if (!["DEL", "GC", "STATUS"].includes(verb)) throw new Error(`Cannot accept that ${verb} succeeds`);
  else if (json !== undefined) throw new Error(`Cannot accept an answer to ${verb}: ${JSON.stringify(json)}`);
}

/** The version that was asked for is told again, be it known or not. */
function assertVersion(json: unknown): void {
  const told = json as { cniVersion?: unknown; supportedVersions?: unknown };
  assertValid("version" satisfies SchemaName, { ...told, cniVersion: "1.1.0" });
  if (typeof told.cniVersion !== "string") throw new Error("Cannot accept a version that is no text");
}

/** The code that is certain, by the specification's order: 4 environment, 6 no JSON object, 7 no name. */
function deserved(environment: BadRequest["environment"], stdin: Uint8Array): number | undefined {
  const {
    CNI_COMMAND: verb = "",
    CNI_CONTAINERID: id = "",
    CNI_IFNAME: ifName = "",
    CNI_NETNS: netns = "",
  } = environment;
  const needsAttachment = ["ADD", "DEL", "CHECK"].includes(verb);
  const isPlain = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
  if (needsAttachment) {
    const isBadName =
      /[/:%\p{Cc}\p{White_Space}]/u.test(ifName) ||
      Buffer.from(ifName).length > 15 ||
      /^\.{0,2}$/.test(ifName);
    if (!isPlain.test(id) || isBadName) return 4;
    if (verb !== "DEL" && netns === "") return 4;
  }
  if (!["ADD", "DEL", "CHECK", "STATUS", "GC"].includes(verb)) return undefined;
  if (stdin.length > LONGEST_INPUT_BYTES) return 6;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(stdin)) ?? {};
  } catch {
    return 6;
  }
  if (typeof value !== "object" || Array.isArray(value)) return 6;
  const { name = "", cniVersion = "" } = value as { name?: unknown; cniVersion?: unknown };
  if (typeof name !== "string" || typeof cniVersion !== "string") return 6;
  if (!isPlain.test(name) || name.length > 200) return 7;
  if (!/^(|0\.[124]\.0|0\.3\.[01]|1\.[01]\.0)$/.test(cniVersion)) return 1;
  return undefined;
}
