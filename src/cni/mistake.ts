// Mistakes in a document, in words: every one names its key, the value, and what was expected.
import type { ErrorObject as AjvError, ValidateFunction } from "ajv";
import type { Mistake } from "../ipam/range.ts";

/** Holds a document against a compiled schema; all mistakes at once. */
export function mistakesIn(validate: ValidateFunction, document: unknown): Mistake[] {
  if (validate(document)) return [];
  // A union reports its members' failures too; the member tells more than "no union member matched".
  return (validate.errors ?? []).map((error) => ({
    key: keyOf(error),
    value: valueIn(error),
    expected: expected(error),
  }));
}

/** `ipam.ranges[0][0].subnet is "10.20.1.0/33", expected a subnet such as "10.20.1.0/24"`. */
export function describeMistake({ key, value, expected }: Mistake): string {
  const seen = value === undefined ? "is missing" : `is ${shortened(JSON.stringify(value))}`;
  return `${key || "the configuration"} ${seen}, expected ${expected}`;
}

/** "/ipam/ranges/0/0" and a missing "subnet" become `ipam.ranges[0][0].subnet`. */
function keyOf({ instancePath, keyword, params }: AjvError): string {
  const path = instancePath.split("/").slice(1).map(unescaped);
  if (keyword === "required") path.push((params as { missingProperty: string }).missingProperty);
  return path.map((part, at) => (/^\d+$/.test(part) ? `[${part}]` : at > 0 ? `.${part}` : part)).join("");
}

function valueIn({ keyword, data }: AjvError): unknown {
  return keyword === "required" ? undefined : data;
}

const WORDS: Readonly<Record<string, (params: Record<string, unknown>) => string>> = {
  type: ({ type }) => article(String(type)),
  required: () => "a value",
  enum: ({ allowedValues }) =>
    `one of ${(allowedValues as unknown[]).map((value) => JSON.stringify(value)).join(", ")}`,
  minimum: ({ limit }) => `at least ${limit}`,
  maximum: ({ limit }) => `at most ${limit}`,
  minItems: ({ limit }) => `at least ${limit} of them`,
  maxItems: ({ limit }) => `at most ${limit} of them`,
  pattern: ({ pattern }) => `text of the form ${pattern}`,
};

function expected({ keyword, params, parentSchema, message }: AjvError): string {
  const words = WORDS[keyword]?.(params as Record<string, unknown>) ?? message ?? keyword;
  const { examples = [] } = describedBy(parentSchema as Schema | undefined, params) ?? {};
  if (examples.length === 0) return words;
  return `${words}, such as ${examples.map((example) => JSON.stringify(example)).join(" or ")}`;
}

interface Schema {
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** Where a key is missing, its own schema is one below the one that asks for it. */
function describedBy(
  schema: Schema | undefined,
  { missingProperty }: AjvError["params"],
): Schema | undefined {
  return typeof missingProperty === "string" ? schema?.properties?.[missingProperty] : schema;
}

function article(noun: string): string {
  return /^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`;
}

/** JSON pointer escapes (RFC 6901). */
function unescaped(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}

function shortened(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
