// A runtime kills a plugin that is too slow. Whatever the instant, one DEL or the next ADD sets all right.

import { afterAll, describe, expect, test } from "vitest";
import { usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { hostEnds, NOTHING, remains, silent, succeeded } from "../helpers/outcome.ts";
import { patient, repetitions } from "../helpers/patience.ts";
import { add, check, del, netconf, type PluginCall, plugin } from "../helpers/plugin.ts";

const INSTANTS = repetitions(100);
const DEL_INSTANTS = repetitions(50);
/** Its multiples, less their whole parts, are spread evenly, and look as if drawn by lot; the same in every run. */
const GOLDEN_RATIO = 0.618033988749895;

const host = new TestHost();
const sandbox = new TestNetns();
const SUBNETS = usable(["10.20.1.0/24", "fd00:20::/64"]);
const DUAL = { ipam: { ranges: SUBNETS.map((subnet) => [{ subnet }]) } };
const call: PluginCall = { host, netns: sandbox, netconf: netconf(host, DUAL) };

afterAll(() => {
  sandbox[Symbol.dispose]();
  host[Symbol.dispose]();
});

/**
 * Kills calls at instants of their life, and counts what each left: that the instants hit is proved, not hoped for.
 * How long a call lives is learnt from those that outlive their instant.
 */
class Killer {
  readonly #verb: "ADD" | "DEL";
  readonly #seen = new Map<string, number>();
  #strikes = 0;
  #lifeMs = patient(40);

  constructor(verb: "ADD" | "DEL") {
    this.#verb = verb;
  }

  /** Starts a call that is killed when its instant comes, unless it ended before. */
  strike(): void {
    this.#strikes += 1;
    const seconds = Math.max(0.1, ((this.#strikes * GOLDEN_RATIO) % 1) * this.#lifeMs) / 1000;
    const through = ["timeout", "--signal=KILL", seconds.toFixed(6)];
    const { exitCode } = plugin(this.#verb, { ...call, through });
    this.#lifeMs *= exitCode === 0 ? 0.85 : 1.03;
    // The database is not looked into: it may have a journal that only a writer can take back.
    const routes = (host.ip("route", "show", "proto", "32") ?? []) as unknown[];
    const state = exitCode === 0 ? "ended" : `${hostEnds(host).length} links, ${routes.length} routes`;
    this.#seen.set(state, (this.#seen.get(state) ?? 0) + 1);
  }

  /** How many were killed. */
  get hits(): number {
    return [...this.#seen].reduce((sum, [state, count]) => (state === "ended" ? sum : sum + count), 0);
  }

  /** How many different things the killed left behind. */
  get states(): number {
    return [...this.#seen.keys()].filter((state) => state !== "ended").length;
  }
}

function links(): string[] {
  return (sandbox.ip("link") as { ifname: string }[]).map(({ ifname }) => ifname);
}

describe(`ADD killed at ${INSTANTS} instants`, () => {
  test("followed by DEL leaves no link, route, neighbour or lease", { timeout: patient(120_000) }, () => {
    const killer = new Killer("ADD");
    for (let instant = 0; instant < INSTANTS; instant += 1) {
      killer.strike();
      silent(del(call));
      expect(remains(host)).toEqual(NOTHING);
      expect(links()).toEqual(["lo"]);
    }
    expect(killer.hits).toBeGreaterThan(INSTANTS / 4);
    expect(killer.states).toBeGreaterThan(1);
  });

  test("followed by ADD gives one attachment, which works", { timeout: patient(120_000) }, () => {
    const killer = new Killer("ADD");
    for (let instant = 0; instant < INSTANTS; instant += 1) {
      killer.strike();
      const prevResult = succeeded(add(call));
      silent(check({ ...call, netconf: { ...call.netconf, prevResult } }));
      expect(remains(host)).toMatchObject({
        links: { length: 1 },
        routes: { length: SUBNETS.length },
        neighbours: { length: SUBNETS.length },
        leases: SUBNETS.length,
      });
      expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
      silent(del(call));
    }
    expect(remains(host)).toEqual(NOTHING);
    expect(killer.hits).toBeGreaterThan(INSTANTS / 4);
    expect(killer.states).toBeGreaterThan(1);
  });
});

test(`DEL killed at ${DEL_INSTANTS} instants, followed by DEL, leaves nothing`, {
  timeout: patient(120_000),
}, () => {
  const killer = new Killer("DEL");
  for (let instant = 0; instant < DEL_INSTANTS; instant += 1) {
    succeeded(add(call));
    killer.strike();
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
    expect(links()).toEqual(["lo"]);
  }
  expect(killer.hits).toBeGreaterThan(DEL_INSTANTS / 4);
});
