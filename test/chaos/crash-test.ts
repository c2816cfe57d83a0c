/** A test for each scenario, and the counts of all. */

import { afterAll, expect, test } from "vitest";
import { crash, type Scenario } from "./crash.ts";
import { FULL } from "./full.ts";

type Row = Scenario & { readonly fullOnly?: boolean };

/** Far more than needed on an idle machine. */
const TIMEOUT_MS = 900_000;

export function crashTest(rows: readonly Row[]): void {
  const totals = { stops: 0, states: 0, leaks: 0 };
  const scenarios = rows.filter(({ fullOnly }) => FULL || !fullOnly);

  const title = "$verb, $stack stack, leases of $ipam, store $store: DEL, ADD and GC mend every state";
  test.each(scenarios)(title, { timeout: TIMEOUT_MS }, async (scenario) => {
    // What comes before our first line is the same for every verb.
    const startUp = FULL || scenario.verb === "ADD";
    const { stops, states, leaks } = await crash(scenario, { startUp });
    totals.stops += stops;
    totals.states += states.size;
    totals.leaks += leaks.length;
    expect(leaks).toEqual([]);
    // A verb that is stopped less often than this was not the verb.
    expect(stops).toBeGreaterThan(100);
    expect(states.size).toBeGreaterThan(10);
  });

  afterAll(() => {
    const { stops, states, leaks } = totals;
    console.log(`stopped at ${stops} system calls, ${states} states reached, ${leaks} leaks`);
  });
}
