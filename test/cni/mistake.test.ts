import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { describeMistake, mistakesIn } from "../../src/cni/mistake.ts";

/** Compiled as scripts/compile-schemas.ts compiles: all mistakes, with the schema they break. */
const ajv = new Ajv({ allErrors: true, verbose: true, strict: false });

function told(schema: object, document: unknown): string[] {
  return mistakesIn(ajv.compile(schema), document).map(describeMistake);
}

const at = (key: string, schema: object) => ({ type: "object", properties: { [key]: schema } });

test("a document without mistakes has none", () => {
  expect(told(at("mtu", { type: "integer" }), { mtu: 1500 })).toEqual([]);
});

test.each<[object, unknown, string]>([
  [{ type: "integer" }, "big", 'key is "big", expected an integer'],
  [{ type: "string" }, 5, "key is 5, expected a string"],
  [{ type: "string" }, null, "key is null, expected a string"],
  [{ type: "object" }, [], "key is [], expected an object"],
  [{ type: "array" }, {}, "key is {}, expected an array"],
  [{ type: "boolean" }, "yes", 'key is "yes", expected a boolean'],
  [{ enum: ["auto", "permanent"] }, "x", 'key is "x", expected one of "auto", "permanent"'],
  [{ minimum: 68 }, 67, "key is 67, expected at least 68"],
  [{ maximum: 65535 }, 65536, "key is 65536, expected at most 65535"],
  [{ minItems: 1 }, [], "key is [], expected at least 1 of them"],
  [{ maxItems: 2 }, [1, 2, 3], "key is [1,2,3], expected at most 2 of them"],
  [{ pattern: "^/" }, "run", 'key is "run", expected text of the form ^/'],
  [
    { type: "string", examples: ["10.20.1.0/24", "usePodCidr"] },
    5,
    'key is 5, expected a string, such as "10.20.1.0/24" or "usePodCidr"',
  ],
  // A keyword without words of ours keeps the validator's.
  [{ multipleOf: 4 }, 6, "key is 6, expected must be multiple of 4"],
])("%j and the value %j: %s", (schema, value, words) => {
  expect(told(at("key", schema), { key: value })).toEqual([words]);
});

test("a missing key is named where it should stand, with the examples of its own schema", () => {
  const schema = {
    ...at("subnet", { type: "string", examples: ["10.20.1.0/24"] }),
    required: ["subnet", "other"],
  };
  expect(told(schema, {})).toEqual([
    'subnet is missing, expected a value, such as "10.20.1.0/24"',
    "other is missing, expected a value",
  ]);
});

test("a key is written as a person would point at it", () => {
  const schema = at(
    "ipam",
    at("ranges", { type: "array", items: { type: "array", items: { required: ["subnet"] } } }),
  );
  expect(told(schema, { ipam: { ranges: [[], [{ subnet: 1 }, {}]] } })).toEqual([
    "ipam.ranges[1][1].subnet is missing, expected a value",
  ]);
});

test("keys with slashes and tildes are told as they are", () => {
  expect(told(at("a/b~c", { type: "string" }), { "a/b~c": 5 })).toEqual(["a/b~c is 5, expected a string"]);
});

test("the document itself is called the configuration", () => {
  expect(told({ type: "object" }, 5)).toEqual(["the configuration is 5, expected an object"]);
});

test("all mistakes are told, not only the first", () => {
  const schema = { properties: { a: { type: "string" }, b: { type: "integer" } }, required: ["c"] };
  expect(told(schema, { a: 1, b: "x" })).toHaveLength(3);
});

test("a long value is shortened to 80 characters", () => {
  const [words = ""] = told(at("key", { type: "integer" }), { key: "x".repeat(500) });
  const value = words.slice("key is ".length, words.indexOf(", expected"));
  expect(value).toBe(`"${"x".repeat(76)}...`);
});
