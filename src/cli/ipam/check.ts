// slash32 ipam check: what store and kernel disagree on.
import { Exit, type Terminal } from "../command.ts";
import { type Paint, painter } from "../paint.ts";
import type { Finding } from "./finding.ts";
import type { Given } from "./given.ts";
import { survey } from "./survey.ts";

export function checkStores({ scene, json }: Given, { out, colours }: Terminal): number {
  const { findings, busy } = survey(scene);
  if (json) out(`${JSON.stringify({ findings: findings.map(plain), busy }, undefined, 2)}\n`);
  else {
    const paint = painter(colours);
    for (const finding of findings) out(told(finding, paint));
    if (busy.length > 0)
      out(`${paint("dim", `not looked at, as a verb is at work on it: ${busy.join(", ")}`)}\n`);
    out(`${verdict(findings.length, paint)}\n`);
  }
  return findings.length === 0 ? Exit.ok : Exit.found;
}

/** For programs: what would be done as text. */
export function plain({ mends, ...finding }: Finding): object {
  return { ...finding, mends: mends.map(({ command }) => command) };
}

/** One finding, with what settles it below. */
export function told(finding: Finding, paint: Paint): string {
  const { mends, advice } = finding;
  const remedy =
    mends.length > 0 ? mends.map(({ command }) => `  ${command}`) : [`  ${paint("dim", advice ?? "")}`];
  return `${headline(finding, paint)}\n${remedy.join("\n")}\n`;
}

export function headline({ kind, attachment, network, subject, is, should }: Finding, paint: Paint): string {
  const about = attachment ?? (network || "host");
  return `${paint("red", kind)} ${paint("bold", about)}: ${subject} is ${is}, should be ${should}`;
}

function verdict(count: number, paint: Paint): string {
  if (count === 0) return paint("green", "store and kernel agree");
  return `${count === 1 ? "1 disagreement" : `${count} disagreements`}; slash32 ipam repair settles what has a command`;
}
