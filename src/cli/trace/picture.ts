// A trace as a picture, before anybody has chosen pen or paper: boxes one below the other, joined by cables.
import { formatAddress } from "../../address.ts";
import type { Fact, Joint, Verdict, Way } from "./fact.ts";
import { flowWords } from "./flow.ts";
import type { Walk } from "./walk.ts";

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

/** What is to be read below the boxes. */
export interface Conclusion {
  readonly mark: Verdict;
  readonly headline: string;
  /** "seen", "expected", "why", "mend", each with what there is to say. */
  readonly details: readonly (readonly [name: string, text: string])[];
  readonly remarks: readonly string[];
}

export interface Picture {
  readonly title: string;
  readonly subtitle: string;
  readonly boxes: readonly Box[];
  readonly joints: readonly Joint[];
  readonly conclusion: Conclusion;
}

export function pictureOf(walk: Walk): Picture {
  const { from, to, flow, places, joints } = walk;
  const addresses = `${formatAddress(flow.from)} → ${formatAddress(flow.to)}`;
  return {
    title: `${from} → ${to}`,
    subtitle: [flowWords(flow), ...(addresses === `${from} → ${to}` ? [] : [addresses])].join(" · "),
    boxes: places.map(({ name, title, detail }) => ({
      title,
      detail,
      lines: { there: linesOf(walk, name, "there"), back: linesOf(walk, name, "back") },
    })),
    joints,
    conclusion: conclusionOf(walk),
  };
}

function linesOf({ hops, firstWrong }: Walk, place: string, way: Way): Line[] {
  return hops
    .filter((hop) => hop.place === place && hop.way === way)
    .flatMap(({ facts }) => facts)
    .map((fact) => ({
      mark: fact.verdict,
      subject: fact.subject,
      text: fact.seen,
      isFirst: fact === firstWrong,
    }));
}

function conclusionOf({ hops, firstWrong, mtu }: Walk): Conclusion {
  const facts = hops.flatMap((hop) => hop.facts);
  const remarks = facts.filter(({ verdict }) => verdict === "warning").map(warningWords);
  const unknowns = facts.filter(({ verdict }) => verdict === "unknown").map(unknownWords);
  if (firstWrong === undefined) {
    const size = mtu === undefined ? "" : ` Packets of up to ${mtu} bytes pass.`;
    const headline = `Nothing is wrong on the way there and back.${size}`;
    return { mark: "ok", headline, details: [], remarks: [...remarks, ...unknowns] };
  }
  const { place, subject, seen, expected, why, mend } = firstWrong;
  const more = facts.filter(({ verdict }) => verdict === "wrong").length - 1;
  const rest =
    more === 0
      ? []
      : [
          `${more} more ${more === 1 ? "is" : "are"} marked ✗ and may follow from it: mend this first, then trace again.`,
        ];
  const details = Object.entries({ seen, expected, why, mend }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return { mark: "wrong", headline: `${place}: ${subject}`, details, remarks: [...rest, ...remarks] };
}

function warningWords({ place, subject, seen, expected, why, mend }: Fact): string {
  const wanted = expected === undefined ? "" : `, expected ${expected}`;
  return `! ${place}: ${subject}: ${seen}${wanted}${why ? `: ${why}` : ""}${mend ? `; ${mend}` : ""}`;
}

function unknownWords({ place, subject, seen }: Fact): string {
  return `? ${place}: ${subject}: ${seen}`;
}
