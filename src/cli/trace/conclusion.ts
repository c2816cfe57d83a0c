// What is to be read below the picture: the first thing that is wrong, what it means, and what to type.
import { formatAddress } from "../../address.ts";
import type { Fact, Verdict } from "./fact.ts";
import { loss, type Probe, type Sighting } from "./probe/probe.ts";
import type { Report } from "./report.ts";
import type { Walk } from "./walk.ts";

export interface Conclusion {
  readonly mark: Verdict;
  readonly headline: string;
  /** "seen", "expected", "why", "mend", each with what there is to say. */
  readonly details: readonly (readonly [name: string, text: string])[];
  readonly remarks: readonly string[];
}

export function conclude({ walked, probed }: Report): Conclusion {
  const facts = walked.hops.flatMap((hop) => hop.facts);
  const remarks = facts.flatMap(remarkOn);
  const lost = probed && loss(probed);
  if (walked.firstWrong) return wrongFact(walked.firstWrong, facts, remarks, probed);
  if (probed && lost) return lostProbe(walked, probed, lost, remarks);
  const size = walked.mtu === undefined ? "" : ` Packets of up to ${walked.mtu} bytes pass.`;
  const answered = probed ? ` The probe ${probed.isAnswered ? "was answered" : "arrived"}.` : "";
  const headline = `Nothing is wrong on the way there and back.${size}${answered}`;
  return { mark: "ok", headline, details: [], remarks };
}

/** "echo request out by eth0". */
export function sightingWords({ words, direction, dev }: Sighting): string {
  return `${words} ${direction} by ${dev}`;
}

function wrongFact(
  { place, subject, seen, expected, why, mend }: Fact,
  facts: readonly Fact[],
  remarks: readonly string[],
  probed: Probe | undefined,
): Conclusion {
  const more = facts.filter(({ verdict }) => verdict === "wrong").length - 1;
  const marked = `${more} more ${more === 1 ? "is" : "are"} marked ✗ and may follow from it`;
  const rest = more === 0 ? [] : [`${marked}: mend this first, then trace again.`];
  const passed = probed?.isAnswered && !loss(probed) ? ["The probe was answered all the same."] : [];
  return {
    mark: "wrong",
    headline: `${place}: ${subject}`,
    details: Object.entries({ seen, expected, why, mend }).filter((entry): entry is [string, string] => {
      return entry[1] !== undefined;
    }),
    remarks: [...rest, ...passed, ...remarks],
  };
}

function lostProbe(
  { flow }: Walk,
  { refusal, sightings }: Probe,
  { missed, last }: { missed: Sighting; last: Sighting | undefined },
  remarks: readonly string[],
): Conclusion {
  const errors = sightings.filter(({ kind }) => kind === "error").map(sightingWords);
  const isBeyond = missed.kind === "reply" && last?.kind === "request" && last.place === missed.place;
  const silence = `${formatAddress(flow.to)}, or somebody on the way, is silent, or has no way back to ${formatAddress(flow.from)}`;
  const why =
    refusal ??
    errors[0] ??
    (isBeyond ? silence : "it is dropped by something that the facts above do not show");
  return {
    mark: "wrong",
    headline: `${missed.place}: the probe`,
    details: [
      ["seen", last ? `${sightingWords(last)}, then nothing` : "nothing: it was not sent"],
      ["expected", sightingWords(missed)],
      ["why", why],
    ],
    remarks,
  };
}

function remarkOn({ verdict, place, subject, seen, expected, why, mend }: Fact): string[] {
  if (verdict === "unknown") return [`? ${place}: ${subject}: ${seen}`];
  if (verdict !== "warning") return [];
  const wanted = expected === undefined ? "" : `, expected ${expected}`;
  return [`! ${place}: ${subject}: ${seen}${wanted}${why ? `: ${why}` : ""}${mend ? `; ${mend}` : ""}`];
}
