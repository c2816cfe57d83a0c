// The engine of the executable agrees with the one that the other tests run in, which is Bun.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { link, MODULES } from "../../scripts/link.ts";
import { ASKED, answers } from "./questions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const directory = mkdtempSync(join(tmpdir(), "engine-"));
afterAll(() => rmSync(directory, { recursive: true }));
const executable = join(directory, "respondent");

beforeAll(async () => {
  const built = await Bun.build({
    entrypoints: [join(import.meta.dirname, "respondent.ts")],
    outdir: directory,
    external: ["bun:ffi"],
  });
  expect(built.success).toBe(true);
  const bundle = join(directory, "respondent.js");
  await link(
    MODULES.map((each) => (each.name === "cli" ? { ...each, bundle } : each)),
    executable,
  );
});

const nat = (max: number) => fc.nat({ max });
const four = fc.tuple(nat(300), nat(255), nat(255), nat(255)).map((parts) => parts.join("."));
const six = fc
  .tuple(fc.array(nat(0xffff), { minLength: 1, maxLength: 8 }), nat(8), fc.boolean())
  .map(([groups, gap, isUpper]) => {
    const words = groups.map((group) => group.toString(16));
    const text =
      words.length === 8
        ? words.join(":")
        : [words.slice(0, gap), words.slice(gap)].map((side) => side.join(":")).join("::");
    return isUpper ? text.toUpperCase() : text;
  });
const address = fc.oneof(four, six, fc.ipV4(), fc.ipV6());
const prefix = fc.tuple(address, nat(129)).map(([address, length]) => `${address}/${length}`);
const json = fc.oneof(
  fc.json(),
  fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.stringify(value)),
);
const netconf = fc
  .record(
    {
      cniVersion: fc.constantFrom("1.0.0", "0.2.0", "9.9.9", ""),
      name: fc.oneof(fc.constant("podnet"), fc.string()),
      type: fc.constant("slash32"),
      mtu: fc.oneof(fc.integer(), fc.double(), fc.string()),
      routes: fc.array(fc.record({ dst: prefix, mtu: fc.integer() }, { requiredKeys: [] })),
      stateDir: fc.oneof(fc.constant("/run/slash32"), fc.string()),
      ipam: fc.record(
        { ranges: fc.array(fc.array(fc.record({ subnet: prefix, rangeStart: address }))) },
        { requiredKeys: [] },
      ),
      gatewayNeighbour: fc.constantFrom("auto", "permanent", "nonsense"),
      runtimeConfig: fc.jsonValue(),
    },
    { requiredKeys: [] },
  )
  .map((value) => JSON.stringify(value));
const text = fc.oneof(
  ...[address, prefix, json, netconf],
  ...(["grapheme", "binary"] as const).map((unit) => fc.string({ unit, maxLength: 100 })),
  fc.stringMatching(/^[\w./:;= -]{0,60}$/),
);

/** QuickJS takes "3." for a number in JSON. It harms nobody. */
const IS_LAX = /\d\.(?!\d)/;

describe("the executable's engine answers as Bun does:", () => {
  test.each(ASKED)("%s", (asked) => {
    const texts = fc.sample(text, { numRuns: 3000, seed: 32 }).filter((text) => !IS_LAX.test(text));
    const questions = texts.map((text) => ({ asked, text }));
    const input = JSON.stringify(questions);
    const env = { CNI_COMMAND: undefined };
    const { stdout } = execaSync(executable, { input, env, maxBuffer: 1 << 28 });
    const ours: string[] = JSON.parse(stdout);
    const bun = answers(questions);
    const differing = questions.flatMap(({ text }, at) =>
      ours[at] === bun[at] ? [] : [{ text, engine: ours[at], bun: bun[at] }],
    );
    expect(differing.slice(0, 5)).toEqual([]);
    // They are not all refused.
    expect(new Set(bun).size).toBeGreaterThan(100);
  });
});
