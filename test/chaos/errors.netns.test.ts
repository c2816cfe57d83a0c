// The kernel refuses: each system call of ADD, DEL and GC in turn fails, with each of five errors.
import { afterAll, expect, test } from "vitest";
import type { Scenario } from "./crash.ts";
import { disturb } from "./errors.ts";
import { FULL } from "./full.ts";

type Row = Scenario & { readonly fullOnly?: boolean };

const ROWS: readonly Row[] = [
  { verb: "ADD", stack: "dual", ipam: "slash32", store: "none" },
  { verb: "ADD", stack: "dual", ipam: "slash32", store: "used", fullOnly: true },
  { verb: "ADD", stack: "single", ipam: "slash32", store: "none", fullOnly: true },
  { verb: "DEL", stack: "dual", ipam: "slash32", store: "used" },
  { verb: "DEL", stack: "single", ipam: "slash32", store: "used", fullOnly: true },
  { verb: "GC", stack: "dual", ipam: "slash32", store: "used" },
  { verb: "ADD", stack: "single", ipam: "host-local", store: "used" },
  { verb: "DEL", stack: "single", ipam: "host-local", store: "used" },
  { verb: "GC", stack: "single", ipam: "host-local", store: "used", fullOnly: true },
];

const totals = { failures: 0, successes: 0 };

test.each(ROWS.filter(({ fullOnly }) => FULL || !fullOnly))(
  "$verb, $stack stack, leases of $ipam, store $store: fails clearly and leaves nothing, or succeeds",
  { timeout: 1_800_000 },
  async (scenario) => {
    const { failures, successes, faults } = await disturb(scenario, { all: FULL });
    totals.failures += failures;
    totals.successes += successes;
    expect(faults).toEqual([]);
    expect(failures).toBeGreaterThan(50);
  },
);

afterAll(() => {
  console.log(`${totals.failures + totals.successes} errors injected, ${totals.successes} of them outlived`);
});
