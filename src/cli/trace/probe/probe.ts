// `--probe`: one packet, sent from where FROM is, and where it and its answer were seen.
import type { Namespace } from "../../../datapath/netns.ts";
import { randomWords, SystemError, sleep } from "../../../libc.ts";
import type { Way } from "../fact.ts";
import type { Flow } from "../flow.ts";
import { HOST } from "../host.ts";
import type { Neighbourhood } from "../station.ts";
import { Capture, type Frame, sendFrom, waitFor } from "./capture.ts";
import { type Kind, type Mark, probeBytes, recognise, WORDS } from "./packet.ts";

const PATIENCE_MS = 1000;
/** After the answer: what else is on its way. */
const AFTERMATH_MS = 20;
/** On a busy host there is no end of frames: so long is read at a time, and once more when all is over. */
const LOOK_MS = 20;
const LAST_LOOK_MS = 500;

/** A frame of the probe's, or one that should have been there. */
export interface Sighting {
  readonly place: string;
  readonly way: Way;
  readonly dev: string;
  readonly direction: "in" | "out";
  readonly kind: Kind;
  /** "echo request"; of one that was not seen, what was looked for. */
  readonly words: string;
  readonly isSeen: boolean;
  /** Whether the way as it was walked passes here. */
  readonly isExpected: boolean;
}

export interface Probe {
  /** Questions for MACs; what is expected, in the order of the way; then the rest. */
  readonly sightings: readonly Sighting[];
  /** Whether FROM had an answer, be it a refusal. */
  readonly isAnswered: boolean;
  /** UDP may be taken without a word. */
  readonly needsAnswer: boolean;
  /** Why it was not even sent. */
  readonly refusal: string | undefined;
  /** By which interface of the host an answer came in from beyond, or wanted to, where another was expected. */
  readonly answeredBy: string | undefined;
}

type Seen = Omit<Sighting, "isExpected">;

/** What the walk says the probe should pass. */
interface Station {
  readonly place: string;
  readonly dev: string;
  readonly direction: "in" | "out";
  readonly kind: "request" | "reply";
}

/** `egress` is the interface by which the host sends to whom is beyond it. */
export interface Route {
  readonly host: Namespace;
  readonly ends: readonly [Neighbourhood, Neighbourhood];
  readonly egress: string | undefined;
}

/** Sends it and listens for a second at the most. What is in the way of sending is told, not thrown. */
export function probe(flow: Flow, route: Route): Probe {
  using undo = new DisposableStack();
  const sites = sitesOf(route).map(({ place, namespace }) => ({
    place,
    capture: undo.use(new Capture(namespace)),
  }));
  const [port = 0, sequence = 0] = randomWords(2);
  // A client's port, and a sequence number whose successor needs no care.
  const mark = { id: 32768 + (port % 28000), sequence: sequence >>> 1 };
  const seen: Seen[] = [];
  const started = performance.now();
  const refusal = attempt(() => sendFrom(origin(route), flow, probeBytes(flow, mark)));
  const look = (ms: number) => {
    for (const { place, capture } of sites)
      seen.push(...sightings(place, capture.frames(performance.now() + ms), flow, mark));
    return seen.some((sighting) => isLast(sighting, route));
  };
  const captures = sites.map(({ capture }) => capture);
  const isAnswered = refusal === undefined && listen(captures, look, started);
  look(LAST_LOOK_MS);
  const needsAnswer = flow.protocol !== "udp";
  return { ...ordered(seen, stationsOf(route), flow), isAnswered, needsAnswer, refusal };
}

function listen(captures: readonly Capture[], look: (ms: number) => boolean, started: number): boolean {
  for (let left = PATIENCE_MS; left > 0; left = started + PATIENCE_MS - performance.now()) {
    waitFor(captures, left);
    if (!look(LOOK_MS)) continue;
    sleep(AFTERMATH_MS);
    return true;
  }
  return false;
}

function attempt(send: () => void): string | undefined {
  try {
    send();
    return undefined;
  } catch (error) {
    if (error instanceof SystemError) return error.message.replace(/^Cannot \w+: /, "");
    throw error;
  }
}

/** The host last, as it may have other traffic, and the answer is for a sandbox more often than not. */
function sitesOf({ host, ends }: Route): { place: string; namespace: Namespace }[] {
  const sandboxes = ends.flatMap((end) => {
    if (end.kind !== "pod" || end.station.inside === undefined) return [];
    return [{ place: end.station.place, namespace: end.station.inside.namespace }];
  });
  return [...sandboxes, { place: HOST, namespace: host }];
}

/** Where FROM is. */
function origin({ host, ends: [from] }: Route): Namespace {
  return from.kind === "pod" && from.station.inside ? from.station.inside.namespace : host;
}

function* sightings(place: string, frames: Iterable<Frame>, flow: Flow, mark: Mark): Generator<Seen> {
  for (const { dev, direction, ethertype, bytes } of frames) {
    const recognised = recognise(bytes, ethertype, flow, mark);
    if (recognised === undefined) continue;
    yield { place, dev, direction, ...recognised, isSeen: true };
  }
}

/** FROM has its answer, or is told that there will be none. */
function isLast({ kind, place, direction }: Seen, { ends: [from] }: Route): boolean {
  const home = from.kind === "pod" && from.station.inside ? from.station.place : HOST;
  return (kind === "reply" || kind === "error") && place === home && direction === "in";
}

/** The stations of the way there, and of the way back. */
function stationsOf({ ends: [from, to], egress }: Route): Station[] {
  const request = (place: string, dev: string, direction: "in" | "out"): Station => {
    return { place, dev, direction, kind: "request" };
  };
  const there: Station[] = [];
  if (from.kind === "pod") {
    const { place, inside, pod } = from.station;
    if (inside) there.push(request(place, inside.end.name, "out"));
    there.push(request(HOST, pod.hostEnd, "in"));
  }
  if (to.kind === "pod") {
    const { place, inside, pod } = to.station;
    there.push(request(HOST, pod.hostEnd, "out"));
    if (inside) there.push(request(place, inside.end.name, "in"));
  }
  if (to.kind === "beyond" && egress !== undefined) there.push(request(HOST, egress, "out"));
  const back = there.toReversed().map((station): Station => {
    return { ...station, direction: station.direction === "in" ? "out" : "in", kind: "reply" };
  });
  return [...there, ...back];
}

/** Expected stations in the order of the way, seen or not, and around them all that was seen besides, each once. */
function ordered(
  seen: readonly Seen[],
  stations: readonly Station[],
  { protocol }: Flow,
): Pick<Probe, "sightings" | "answeredBy"> {
  const at = ({ place, dev, direction, kind }: Omit<Station, "kind"> & { kind: Kind }) =>
    `${place} ${dev} ${direction} ${kind}`;
  const expected = stations.map((station): Sighting => {
    const found = seen.find((sighting) => at(sighting) === at(station));
    const { kind } = station;
    const way = kind === "request" ? "there" : "back";
    const sighting = found ?? { ...station, way, words: WORDS[protocol][kind], isSeen: false };
    return { ...sighting, isExpected: true };
  });
  const known = new Set(stations.map(at));
  const besides = seen.filter((sighting) => !known.has(at(sighting)));
  const once = new Map(besides.map((sighting) => [`${at(sighting)} ${sighting.words}`, sighting]));
  const others = [...once.values()].map((sighting) => ({ ...sighting, isExpected: false }));
  const questions = others.filter(({ kind }) => kind === "arp");
  const strays = others.filter(({ kind }) => kind !== "arp");
  return {
    sightings: [...questions, ...expected, ...strays],
    answeredBy: (strays.find(isAnswer) ?? questions.find((asked) => isLostQuestion(asked, expected)))?.dev,
  };
}

function isAnswer({ kind, place, direction }: Sighting): boolean {
  return kind === "reply" && place === HOST && direction === "in";
}

/** Who answers asks for the host's MAC first. Of a question that the source check dropped, the answer never comes. */
function isLostQuestion({ place, direction, way, dev }: Sighting, expected: readonly Sighting[]): boolean {
  const reply = expected.find(isAnswer);
  const isElsewhere = reply !== undefined && !reply.isSeen && reply.dev !== dev;
  return isElsewhere && place === HOST && direction === "in" && way === "back";
}

export interface Loss {
  /** The first station that was not reached, and the last that was. */
  readonly missed: Sighting;
  readonly last: Sighting | undefined;
}

/** Where the probe or its answer was lost; `undefined` when all is well with them. */
export function loss({ sightings, isAnswered, needsAnswer }: Probe): Loss | undefined {
  const isRefused = sightings.some(({ kind }) => kind === "error");
  if (isAnswered && !isRefused) return undefined;
  const expected = sightings.filter(({ isExpected, kind }) => {
    return isExpected && (needsAnswer || isRefused || kind === "request");
  });
  const at = expected.findIndex(({ isSeen }) => !isSeen);
  const missed = expected[at];
  return missed && { missed, last: expected[at - 1] };
}
