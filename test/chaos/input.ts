/** What no runtime would send: requests made from the schema of the configuration, and spoilt. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";

export type BadRequest = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Uint8Array;
};

export type Places = {
  /** The only directory that may be written to. */
  readonly stateDir: string;
  /** Where the sandboxes would be; there are none. */
  readonly netns: string;
};

type Schema = {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly examples?: readonly unknown[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
};

const SCHEMA: Schema = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../schemas/netconf.schema.json"), "utf8"),
);

/** Texts that have hurt other programs. */
const HOSTILE = [
  "",
  " ",
  ".",
  "..",
  "../../../../etc/passwd",
  "/",
  "//etc//",
  "$(touch pwned)",
  "`touch pwned`",
  "; touch pwned #",
  "| touch pwned",
  "a\nb",
  "a\0b",
  "\0",
  "%s%n%d",
  "' OR 1=1 --",
  '"); DROP TABLE attachment; --',
  "-rf",
  "--help",
  "__proto__",
  "constructor",
  "toString",
  "\u202e\ufeff",
  "\ud800",
  "é".repeat(40),
  "x".repeat(300),
  "x".repeat(70_000),
  "10.20.1.0/33",
  "256.1.1.1",
  "::ffff:1.2.3.4",
  "fe80::1%eth0",
  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
  "0.0.0.0/0",
  "NaN",
  "1e309",
];

const hostile = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
);

const number = fc.oneof(
  fc.constantFrom(-1, 0, 1, 67, 68, 1500, 65_535, 65_536, 4_294_967_296, 1e308, 0.5, -0),
  fc.double(),
);

/** Any JSON, small. */
const anything = fc.oneof(
  hostile,
  number,
  fc.constantFrom(null, true, false, [], {}, [[]], [null], { __proto__: null }),
  fc.jsonValue({ maxDepth: 2 }),
);

const subnet = fc.constantFrom(
  "10.20.1.0/24",
  "10.20.0.0/16",
  "fd00:20::/64",
  "usePodCidr",
  "10.20.1.1/24",
  "10.20.1.0/30",
);

/** A value as the schema has it, seldom another: one that is wrong all over is refused at its first key. */
function valueFor(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 40, arbitrary: right(schema) }, { weight: 1, arbitrary: anything });
}

function right(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.$ref) return right(SCHEMA.$defs?.[schema.$ref.slice("#/$defs/".length)] as Schema);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "object":
      return object(schema.properties ?? {});
    case "array":
      return fc.array(valueFor(schema.items ?? {}), { maxLength: 3 });
    case "integer":
      return fc.integer({ min: schema.minimum ?? 0, max: schema.maximum ?? 65_535 });
    case "boolean":
      return fc.boolean();
    default:
      return fc.oneof(
        { weight: 20, arbitrary: fc.constantFrom(...(schema.examples ?? ["podnet"])) },
        { weight: 4, arbitrary: subnet },
        { weight: 1, arbitrary: hostile },
      );
  }
}

function object(properties: Readonly<Record<string, Schema>>): fc.Arbitrary<unknown> {
  const values = Object.entries(properties).map(([key, schema]) => [key, valueFor(schema)] as const);
  return fc.record(Object.fromEntries(values), { requiredKeys: [] });
}

const { stateDir: _, logFile: __, name: ___, cniVersion: ____, ...REST } = SCHEMA.properties ?? {};

/**
 * Paths stand for one character each until a text is as spoilt as it will be: spoilt themselves they would lead
 * anywhere on this machine.
 */
const PATHS = [
  ...[
    "",
    "",
    "",
    "/",
    "//./",
    "/a",
    "/a b;$(c)`d`'e\"f",
    "/a/../b",
    `/${"n".repeat(255)}`,
    "/\u00e9\u202e",
    "\0",
  ].map((tail) => (stateDir: string) => stateDir + tail),
  ...["/dev/null/x", "/proc/nowhere", `/${"n".repeat(300)}`, "relative"].map((path) => () => path),
];
const FIRST_PATH = 0xe000;

function withPaths(json: string, { stateDir }: Places): string {
  return json.replace(/[\ue000-\ue0ff]/g, (character) => {
    const path = PATHS[character.charCodeAt(0) - FIRST_PATH]?.(stateDir) ?? "";
    return JSON.stringify(path).slice(1, -1);
  });
}

function document(): fc.Arbitrary<unknown> {
  const place = fc.nat(PATHS.length - 1).map((at) => String.fromCharCode(FIRST_PATH + at));
  const often = <T>(usual: T, other: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
  const attachments = fc.array(
    fc.record({
      containerID: fc.oneof(fc.constant("c1"), anything),
      ifname: fc.oneof(fc.constant("eth0"), anything),
    }),
    { maxLength: 3 },
  );
  return fc
    .record(
      {
        cniVersion: often("1.1.0", fc.oneof(fc.constantFrom("0.1.0", "0.4.0", "1.0.0", "9.9.9"), anything)),
        name: often("podnet", anything),
        stateDir: place,
        logFile: place,
        "cni.dev/valid-attachments": fc.oneof(attachments, anything),
        prevResult: fc.oneof(
          anything,
          fc.record(
            {
              cniVersion: fc.constant("1.1.0"),
              ips: anything,
              interfaces: anything,
              routes: anything,
              dns: anything,
            },
            { requiredKeys: [] },
          ),
        ),
        unknown: anything,
      },
      { requiredKeys: ["cniVersion", "name", "stateDir"] },
    )
    .chain((known) => object(REST).map((rest) => ({ ...(rest as object), ...known })));
}

/** The document's text, whole or spoilt. */
function text(places: Places): fc.Arbitrary<Uint8Array> {
  const encoder = new TextEncoder();
  const whole = document().map((value) => JSON.stringify(value));
  const deep = fc
    .integer({ min: 1, max: 3000 })
    .map((depth) => `{"name":"podnet","stateDir":"\ue000","x":${"[".repeat(depth)}${"]".repeat(depth)}}`);
  const texts = fc.oneof(
    { weight: 10, arbitrary: whole },
    { weight: 3, arbitrary: fc.tuple(whole, fc.nat(), hostile, fc.nat(8)).map(spoil) },
    { weight: 2, arbitrary: fc.tuple(whole, hostile, anything).map(twist) },
    { weight: 1, arbitrary: deep },
    { weight: 1, arbitrary: anything.map((value) => JSON.stringify(value)) },
  );
  return fc.oneof(
    { weight: 16, arbitrary: texts.map((json) => encoder.encode(withPaths(json, places))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  );
}

/** Noise in the place of some characters. */
function spoil([json, at, noise, cut]: [string, number, string, number]): string {
  const from = at % (json.length + 1);
  // Without a slash no remains of a path can become another one.
  return json.slice(0, from) + noise.replaceAll("/", "") + json.slice(from + cut);
}

/** Duplicate keys, and keys that are something to JavaScript. */
function twist([json, key, value]: [string, string, unknown]): string {
  const odd = `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  return json.replace(/^\{/, `{${odd},"__proto__":{"name":"p","mtu":{}},"mtu":1,"mtu":{},`);
}

export const VERBS = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"];

function environment({ netns }: Places): fc.Arbitrary<BadRequest["environment"]> {
  const often = (usual: string, other: fc.Arbitrary<string | undefined>) =>
    fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
  const odd = fc.oneof(hostile, fc.constant(undefined));
  const sandbox = fc.constantFrom(
    "",
    "/",
    "/dev/null",
    "/proc/self/ns/mnt",
    "/proc/self/ns/net",
    "/etc/passwd",
    "../x",
  );
  const pair = fc.tuple(
    fc.oneof(fc.constantFrom("IP", "MAC", "K8S_POD_NAME", "IgnoreUnknown"), hostile),
    hostile,
  );
  return fc.record({
    CNI_COMMAND: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...VERBS) },
      { weight: 1, arbitrary: odd },
    ),
    CNI_CONTAINERID: often("c1", odd),
    CNI_IFNAME: often("eth0", odd),
    CNI_NETNS: fc.oneof(
      { weight: 3, arbitrary: fc.constant(netns) },
      { weight: 1, arbitrary: sandbox },
      { weight: 1, arbitrary: odd },
    ),
    CNI_PATH: fc.constantFrom("", "/nowhere", "::", "relative:..", `${netns}:/dev/null`),
    CNI_ARGS: fc
      .array(pair, { maxLength: 3 })
      .map((pairs) => pairs.map(([key, value]) => `${key}=${value}`).join(";")),
    // Never true: with it, a configuration that is right would be carried out in the tests' own namespace.
    CNI_NETNS_OVERRIDE: fc.constantFrom("", "0", "false", "__proto__"),
    TRACEPARENT: odd,
  });
}

export function badRequest(places: Places): fc.Arbitrary<BadRequest> {
  return fc.record({ environment: environment(places), stdin: text(places) });
}

/** What a process can be given: no NUL in its environment, no lone surrogates, and not all too much. */
export function passable({ environment }: BadRequest): Record<string, string> {
  const usable = Object.entries(environment).filter(
    ([, value]) => value !== undefined && !value.includes("\0"),
  );
  return Object.fromEntries(
    usable.map(([key, value]) => [key, (value as string).toWellFormed().slice(0, 20_000)]),
  );
}
