// The parts of the benchmark, each measured from beginning to end, as rows of the table.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { PTP, SLASH32 } from "./contestants.ts";
import {
  measureBursts,
  measureHeld,
  measureMemory,
  measureStart,
  measureVerbs,
  type Series,
  type Timed,
} from "./measure.ts";
import { barePair, measurePackets, wiredPair } from "./packets.ts";
import { type Place, Places } from "./place.ts";
import { amountRow, LIMITS, type Row, ratioRow } from "./rows.ts";
import { traced } from "./startup.ts";

const BURST_SIZE = 100;
const HELD = 5000;

/** Each measures for so many rounds, or for fewer where a round is long. */
export const PARTS: Readonly<Record<string, (rounds: number) => Row[] | Promise<Row[]>>> = {
  verbs,
  bursts,
  held,
  start,
  memory,
  packets,
};

function pick(timed: Timed, key: string, who: "slash32" | "ptp" | "bridge", peerKey = key) {
  const ours = timed.slash32?.[key] ?? [];
  return { ours, theirs: timed[who]?.[peerKey] ?? [], unit: "ms" };
}

function verbs(rounds: number): Row[] {
  using places = new Places();
  const timed = measureVerbs(places.all, rounds);
  return [
    ratioRow("ADD, wall", pick(timed, "ADD.wall", "ptp"), LIMITS.addWall),
    ratioRow("ADD, CPU", pick(timed, "ADD.cpu", "ptp"), LIMITS.addCpu),
    ratioRow("DEL, wall", pick(timed, "DEL.wall", "ptp"), LIMITS.delWall),
    ratioRow("VERSION, wall", pick(timed, "VERSION.wall", "ptp"), LIMITS.idle),
    ratioRow(
      "STATUS, wall, to ptp's VERSION",
      pick(timed, "STATUS.wall", "ptp", "VERSION.wall"),
      LIMITS.idle,
    ),
    ratioRow("DEL, CPU", pick(timed, "DEL.cpu", "ptp")),
    ratioRow("CHECK, wall", pick(timed, "CHECK.wall", "ptp")),
    ratioRow("ADD, wall, to bridge", pick(timed, "ADD.wall", "bridge")),
    ratioRow("ADD, CPU, to bridge", pick(timed, "ADD.cpu", "bridge")),
    ratioRow("DEL, wall, to bridge", pick(timed, "DEL.wall", "bridge")),
    ratioRow("CHECK, wall, to bridge", pick(timed, "CHECK.wall", "bridge")),
  ];
}

function bursts(rounds: number): Row[] {
  using places = new Places();
  const timed = measureBursts(places.all, Math.max(2, Math.round(rounds / 6)), BURST_SIZE);
  return [
    ratioRow("100 ADDs at once, to the last", pick(timed, "ADD.last", "ptp"), LIMITS.burst),
    ratioRow("100 ADDs at once, p99 of one", pick(timed, "ADD.p99", "ptp"), LIMITS.burst),
    ratioRow("100 DELs at once, to the last", pick(timed, "DEL.last", "ptp"), LIMITS.burst),
    ratioRow("100 ADDs at once, to the last, to bridge", pick(timed, "ADD.last", "bridge")),
    ratioRow("100 DELs at once, to the last, to bridge", pick(timed, "DEL.last", "bridge")),
  ];
}

function held(rounds: number): Row[] {
  using places = new Places([SLASH32, PTP]);
  const { slash32 = {}, ptp = {} } = measureHeld(places.all, Math.ceil(rounds / 2), HELD);
  const growth = ({ empty = [], held = [] }: Series) => ({ ours: held, theirs: empty, unit: "ms" });
  return [
    ratioRow(`ADD, ${HELD} leases held, to none`, growth(slash32), LIMITS.held),
    ratioRow(`the same of ptp + host-local`, growth(ptp)),
  ];
}

function start(rounds: number): Row[] {
  const directory = mkdtempSync(join(tmpdir(), "slash32-bench-"));
  try {
    using places = new Places([traced(SLASH32, directory)]);
    const { firstLine, ownWork } = measureStart(places.all[0] as Place, rounds);
    return [
      amountRow("start to our first line", firstLine, "ms", LIMITS.firstLine),
      amountRow("our own work in ADD", ownWork, "ms", LIMITS.ownWork),
    ];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function memory(): Row[] {
  using places = new Places();
  const [ours = [], ptp = [], bridge = []] = places.all.map((place) => measureMemory(place, 7));
  return [
    amountRow("peak memory of ADD", ours, "MB", LIMITS.memory),
    amountRow("the same of ptp + host-local", ptp, "MB"),
    amountRow("the same of bridge + host-local", bridge, "MB"),
  ];
}

async function packets(rounds: number): Promise<Row[]> {
  using places = new Places([SLASH32]);
  using host = new TestHost();
  using first = new TestNetns("bare");
  using second = new TestNetns("bare");
  const pairs = [wiredPair(places.all[0] as Place), barePair(host, [first, second])];
  const [wired, bare] = await measurePackets(pairs, Math.ceil(rounds / 4));
  if (!wired || !bare) throw new Error("Cannot compare packets: a pair is missing");
  const compare = (key: "throughput" | "transactions", scale: number, unit: string) => ({
    ours: wired[key].map((value) => value / scale),
    theirs: bare[key].map((value) => value / scale),
    unit,
  });
  return [
    ratioRow("TCP throughput, to a bare veth", compare("throughput", 1, "Gbit/s"), LIMITS.packets),
    ratioRow("TCP request/response, to a bare veth", compare("transactions", 1000, "k/s"), LIMITS.packets),
  ];
}
