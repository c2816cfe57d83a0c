// A trace as a picture, before anybody has chosen pen or paper: boxes one below the other, joined by cables.
import { formatAddress } from "../../address.ts";
import { type Conclusion, conclude, sightingWords } from "./conclusion.ts";
import type { Joint, Verdict, Way } from "./fact.ts";
import { flowWords } from "./flow.ts";
import { loss, type Probe } from "./probe/probe.ts";
import type { Report } from "./report.ts";

/** What stands before a line. */
export type Mark = Verdict | "seen" | "missed";

export interface Line {
  readonly mark: Mark;
  readonly subject: string;
  readonly text: string;
  /** The first thing that is wrong. */
  readonly isFirst: boolean;
}

export interface Box {
  readonly title: string;
  readonly detail: string;
  /** What the packet meets, and what its answer meets. */
  readonly lines: Readonly<Record<Way, readonly Line[]>>;
}

export interface Picture {
  readonly title: string;
  readonly subtitle: string;
  readonly boxes: readonly Box[];
  readonly joints: readonly Joint[];
  readonly conclusion: Conclusion;
}

export function pictureOf(report: Report): Picture {
  const { from, to, flow, places, joints } = report.walked;
  const addresses = `${formatAddress(flow.from)} → ${formatAddress(flow.to)}`;
  return {
    title: `${from} → ${to}`,
    subtitle: [flowWords(flow), ...(addresses === `${from} → ${to}` ? [] : [addresses])].join(" · "),
    boxes: places.map(({ name, title, detail }) => ({
      title,
      detail,
      lines: { there: linesOf(report, name, "there"), back: linesOf(report, name, "back") },
    })),
    joints,
    conclusion: conclude(report),
  };
}

function linesOf({ walked: { hops, firstWrong }, probed }: Report, place: string, way: Way): Line[] {
  const facts = hops.filter((hop) => hop.place === place && hop.way === way).flatMap((hop) => hop.facts);
  const lines = facts.map((fact): Line => {
    return { mark: fact.verdict, subject: fact.subject, text: fact.seen, isFirst: fact === firstWrong };
  });
  return probed ? [...lines, ...probeLines(probed, place, way, firstWrong === undefined)] : lines;
}

/** Of what was not seen only the first matters: the rest follows from it. */
function probeLines(probed: Probe, place: string, way: Way, isFirst: boolean): Line[] {
  const { missed } = loss(probed) ?? {};
  return probed.sightings
    .filter((sighting) => sighting.place === place && sighting.way === way)
    .filter((sighting) => sighting.isSeen || sighting === missed)
    .map((sighting) => {
      const { isSeen, isExpected, kind } = sighting;
      const isStray = !isExpected && (kind === "request" || kind === "reply");
      const text = `${isSeen ? "" : "no "}${sightingWords(sighting)}${isStray ? ", not the way expected" : ""}`;
      const mark = !isSeen ? "missed" : isStray || kind === "error" ? "warning" : "seen";
      return { mark, subject: "probe", text, isFirst: isFirst && sighting === missed };
    });
}
