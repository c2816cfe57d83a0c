// The parts of the benchmark, each measured from beginning to end.
import { TestHost, TestNetns } from "../helpers/lab.ts";
import type { Panel } from "./chart.ts";
import { type Name, PTP, SLASH32 } from "./contestants.ts";
import { Load } from "./machine.ts";
import {
  measureBursts,
  measureHeld,
  measureMemory,
  measureStart,
  measureVerbs,
  type Timed,
} from "./measure.ts";
import { barePair, measurePackets, wiredPair } from "./packets.ts";
import { type Place, Places } from "./place.ts";
import { amountRow, LIMITS, type Row, ratioRow, type Samples, side } from "./rows.ts";
import { traced } from "./startup.ts";

const BURST_SIZE = 100;
const HELD = 5000;
const MEMORY_ROUNDS = 7;
/** With more of the machine in others' hands, a time in milliseconds says nothing against us. */
const QUIET = 0.1;

export interface Part {
  readonly rows: readonly Row[];
  /** For the chart. */
  readonly panels?: readonly Panel[];
}

/** Each measures for so many rounds, or for fewer where a round is long. */
export const PARTS: Readonly<Record<string, (rounds: number) => Part | Promise<Part>>> = {
  verbs,
  bursts,
  held,
  start,
  memory,
  packets,
};

function verbs(rounds: number): Part {
  using places = new Places();
  const timed = measureVerbs(places.all, rounds);
  const ours = (key: string) => series(timed, "slash32", key);
  const ptp = (key: string) => series(timed, "ptp", key);
  const bridge = (key: string) => series(timed, "bridge", key);
  return {
    rows: [
      ratioRow("ADD, wall", ours("ADD.wall"), ptp("ADD.wall"), LIMITS.addWall),
      ratioRow("ADD, CPU", ours("ADD.cpu"), ptp("ADD.cpu"), LIMITS.addCpu),
      ratioRow("DEL, wall", ours("DEL.wall"), ptp("DEL.wall"), LIMITS.delWall),
      ratioRow("VERSION, wall", ours("VERSION.wall"), ptp("VERSION.wall"), LIMITS.polled),
      ratioRow("STATUS, wall, to VERSION", ours("STATUS.wall"), ptp("VERSION.wall"), LIMITS.polled),
      ratioRow("DEL, CPU", ours("DEL.cpu"), ptp("DEL.cpu")),
      ratioRow("CHECK, wall", ours("CHECK.wall"), ptp("CHECK.wall")),
      ratioRow("CHECK, CPU", ours("CHECK.cpu"), ptp("CHECK.cpu")),
      ratioRow("ADD, wall", ours("ADD.wall"), bridge("ADD.wall")),
      ratioRow("ADD, CPU", ours("ADD.cpu"), bridge("ADD.cpu")),
      ratioRow("DEL, wall", ours("DEL.wall"), bridge("DEL.wall")),
      ratioRow("CHECK, wall", ours("CHECK.wall"), bridge("CHECK.wall")),
    ],
    panels: [
      panel("ADD", timed, "ADD.wall"),
      panel("ADD, CPU time", timed, "ADD.cpu"),
      panel("DEL", timed, "DEL.wall"),
      panel("VERSION", timed, "VERSION.wall"),
    ],
  };
}

function bursts(rounds: number): Part {
  using places = new Places();
  const timed = measureBursts(places.all, Math.max(6, Math.round(rounds / 5)), BURST_SIZE);
  const compare = (title: string, key: string, who: Name, limit?: Row["limit"]) =>
    ratioRow(title, series(timed, "slash32", key), series(timed, who, key), limit);
  const [adds, dels] = [`${BURST_SIZE} ADDs at once`, `${BURST_SIZE} DELs at once`];
  return {
    rows: [
      compare(`${adds}, to the last`, "ADD.last", "ptp", LIMITS.burst),
      compare(`${adds}, p99 of one`, "ADD.p99", "ptp", LIMITS.burst),
      compare(`${dels}, to the last`, "DEL.last", "ptp", LIMITS.burst),
      compare(`${adds}, CPU`, "ADD.cpu", "ptp"),
      compare(`${dels}, CPU`, "DEL.cpu", "ptp"),
      compare(`${adds}, to the last`, "ADD.last", "bridge"),
      compare(`${dels}, to the last`, "DEL.last", "bridge"),
    ],
    panels: [panel(adds, timed, "ADD.last"), panel(dels, timed, "DEL.last")],
  };
}

function held(rounds: number): Part {
  using places = new Places([SLASH32, PTP]);
  const timed = measureHeld(places.all, Math.ceil(rounds / 2), HELD);
  const growth = (who: Name, limit?: Row["limit"]) => {
    const more = { ...series(timed, who, "held"), name: who };
    const none = { ...series(timed, who, "empty"), name: "none held" };
    const title = `ADD, ${HELD} leases held`;
    return ratioRow(who === "slash32" ? title : `${title}, by host-local`, more, none, limit);
  };
  return { rows: [growth("slash32", LIMITS.held), growth("ptp")] };
}

async function start(rounds: number): Promise<Part> {
  using places = new Places([await traced(SLASH32)]);
  const load = new Load();
  const { firstLine, ownWork } = measureStart(places.all[0] as Place, rounds);
  const rows = [
    amountRow("start to our first line", firstLine, "ms", LIMITS.firstLine),
    amountRow("our own work in ADD", ownWork, "ms", LIMITS.ownWork),
  ];
  return { rows: load.others() > QUIET ? rows.map(doubtful) : rows };
}

function doubtful(row: Row): Row {
  return row.verdict === "missed" ? { ...row, verdict: "too noisy to tell" } : row;
}

function memory(): Part {
  using places = new Places();
  return {
    rows: places.all.map((place) => {
      const { name } = place.contestant;
      const samples = measureMemory(place, MEMORY_ROUNDS);
      if (name === "slash32") return amountRow("peak memory of ADD", samples, "MB", LIMITS.memory);
      return amountRow(`the same of ${name} + host-local`, samples, "MB");
    }),
  };
}

async function packets(rounds: number): Promise<Part> {
  using places = new Places([SLASH32]);
  using host = new TestHost();
  using first = new TestNetns("bare");
  using second = new TestNetns("bare");
  const pairs = [wiredPair(places.all[0] as Place), barePair(host, [first, second])];
  const [wired, bare] = await measurePackets(pairs, Math.ceil(rounds / 4));
  if (!wired || !bare) throw new Error("Cannot compare packets: a pair is missing");
  const compare = (title: string, key: keyof typeof wired, unit: string) => {
    const ours = { name: "slash32", unit, samples: wired[key] };
    return ratioRow(title, ours, { name: "bare veth", unit, samples: bare[key] }, LIMITS.packets);
  };
  return {
    rows: [
      compare("TCP throughput", "throughput", "Gbit/s"),
      compare("TCP request/response", "transactions", "/s"),
    ],
  };
}

function series(timed: Timed, who: Name, key: string): Samples {
  const name = who === "slash32" || /VERSION/.test(key) ? who : `${who} + host-local`;
  return { name, unit: "ms", samples: timed[who]?.[key] ?? [] };
}

function panel(title: string, timed: Timed, key: string): Panel {
  return {
    title,
    sides: (["slash32", "ptp", "bridge"] as const).map((who) => side(series(timed, who, key))),
  };
}
