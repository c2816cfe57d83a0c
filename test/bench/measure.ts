// What is measured: rounds in which every contestant does the same, one right after the other.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatAddress, parseAddress } from "../../src/address.ts";
import { readRangeSets } from "../../src/ipam/range.ts";
import { Store } from "../../src/ipam/store.ts";
import { type Name, SUBNET } from "./contestants.ts";
import { inTurn, type Place } from "./place.ts";
import { readTrace } from "./startup.ts";
import { percentile99 } from "./statistics.ts";

/** One figure per round, in milliseconds. */
export type Series = Record<string, number[]>;

export type Timed = Partial<Record<Name, Series>>;

/** The first rounds fill caches and make what only the first ADD makes (bridge, database, lock files). */
const WARM_UP_ROUNDS = 2;

/** Every verb, one at a time: `ADD.wall`, `ADD.cpu`, `CHECK.wall`, … */
export function measureVerbs(places: readonly Place[], rounds: number): Timed {
  const timed: Timed = {};
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const turn = inTurn(places, round + WARM_UP_ROUNDS);
    const targets = new Map(turn.map((place) => [place, place.targets(1)[0]]));
    for (const verb of ["ADD", "CHECK", "DEL", "VERSION", "STATUS"] as const) {
      for (const place of turn) {
        const { name } = place.contestant;
        const target = verb === "VERSION" || verb === "STATUS" ? undefined : targets.get(place);
        if (verb === "STATUS" && name !== "slash32") continue; // Debian 12's have none
        const version = verb === "STATUS" ? { cniVersion: "1.1.0" } : {};
        const { wallMs, cpuMs } = place.run(verb, target, version);
        if (round < 0) continue;
        record(timed, name, `${verb}.wall`, wallMs);
        record(timed, name, `${verb}.cpu`, cpuMs);
      }
    }
  }
  return timed;
}

/** Many at once: `ADD.last`, the time to the last one's end, `ADD.p99`, that of one's own start to end; and DEL. */
export function measureBursts(places: readonly Place[], rounds: number, size: number): Timed {
  const timed: Timed = {};
  for (let round = -1; round < rounds; round += 1) {
    for (const place of inTurn(places, round + 1)) {
      const targets = place.targets(size);
      for (const verb of ["ADD", "DEL"] as const) {
        const { runs, lastMs } = place.burst(verb, targets);
        if (round < 0) continue;
        record(timed, place.contestant.name, `${verb}.last`, lastMs);
        record(timed, place.contestant.name, `${verb}.p99`, percentile99(runs.map(({ wallMs }) => wallMs)));
        const cpuMs = runs.reduce((sum, one) => sum + one.cpuMs, 0);
        record(timed, place.contestant.name, `${verb}.cpu`, cpuMs);
      }
    }
  }
  return timed;
}

/** ADD with `held` leases in the store, and with none, in turn: `empty` and `held`. */
export function measureHeld(places: readonly Place[], rounds: number, held: number): Timed {
  const timed: Timed = {};
  for (const place of places) {
    const state = place.network("held");
    if (place.contestant.name === "slash32") holdLeases(state, held);
    else holdFiles(join(state, "held"), held);
    place.network("empty");
  }
  const cases = places.flatMap((place) => [
    { place, network: "empty" },
    { place, network: "held" },
  ]);
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (const { place, network } of inTurn(cases, round + WARM_UP_ROUNDS)) {
      place.returnTo(network);
      const [target] = place.targets(1);
      const { wallMs } = place.run("ADD", target);
      place.run("DEL", target);
      if (round >= 0) record(timed, place.contestant.name, network, wallMs);
    }
  }
  return timed;
}

function record(timed: Timed, name: Name, key: string, value: number): void {
  timed[name] ??= {};
  timed[name][key] ??= [];
  timed[name][key].push(value);
}

/** By our own store, as so many ADDs would. */
function holdLeases(stateDir: string, count: number): void {
  const { sets } = readRangeSets([[{ subnet: SUBNET }]], {}, "ranges");
  using store = Store.open(stateDir, "held");
  for (let at = 0; at < count; at += 1) {
    const containerId = String(at).padStart(64, "a");
    store.acquire({
      attachment: { network: "held", containerId, ifName: "eth0" },
      hostEnd: `held${at}`,
      mtu: 1500,
      sets,
      requested: [],
      isInUse: () => false,
      pod: undefined,
    });
  }
}

/** As host-local keeps them: a file of the address's name that says whose it is. */
function holdFiles(directory: string, count: number): void {
  mkdirSync(directory, { recursive: true });
  const first = parseAddress("10.20.0.2")?.value as bigint;
  let last = "";
  for (let at = 0; at < count; at += 1) {
    last = formatAddress({ family: 4, value: first + BigInt(at) });
    writeFileSync(join(directory, last), `${String(at).padStart(64, "a")}\r\neth0`);
  }
  writeFileSync(join(directory, "last_reserved_ip.0"), last);
}

/** Of a traced copy: milliseconds from its start to its first line, and from there to the answer. */
export function measureStart(place: Place, rounds: number): { firstLine: number[]; ownWork: number[] } {
  const firstLine: number[] = [];
  const ownWork: number[] = [];
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    const [target] = place.targets(1);
    const { startedMs, stderr } = place.run("ADD", target);
    place.run("DEL", target);
    if (round < 0) continue;
    const { first, last } = readTrace(stderr);
    firstLine.push(first - startedMs);
    ownWork.push(last - first);
  }
  return { firstLine, ownWork };
}

/** Peak memory of ADD in megabytes, all processes added up: each waits for the one that it started. */
export function measureMemory(place: Place, rounds: number): number[] {
  return Array.from({ length: rounds }, () => {
    const [target] = place.targets(1);
    const peaks = place.peakMemory("ADD", target);
    place.run("DEL", target);
    return Object.values(peaks).reduce((sum, peak) => sum + peak, 0);
  });
}
