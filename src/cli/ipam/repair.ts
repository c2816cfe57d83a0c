// slash32 ipam repair: settles what store and kernel disagree on, and says how.
import { Exit, type Terminal } from "../command.ts";
import { painter } from "../paint.ts";
import { headline, plain, told } from "./check.ts";
import type { Finding, Mend } from "./finding.ts";
import type { Given } from "./given.ts";
import { survey } from "./survey.ts";

/** Exit status 0 when nothing is left to settle. */
export function repairStores({ scene, json, dryRun }: Given, { out, err, colours }: Terminal): number {
  const paint = painter(colours);
  const done: string[] = [];
  let last: Finding | undefined;
  const settle = (mend: Mend, finding: Finding): boolean => {
    if (!json && finding !== last) out(`${headline(finding, paint)}\n`);
    last = finding;
    if (!json) out(`  ${mend.command}\n`);
    try {
      mend.carryOut();
      done.push(mend.command);
      return true;
    } catch (error) {
      err(`slash32 ipam repair: ${(error as Error).message}\n`);
      return false;
    }
  };
  const { findings, busy } = survey(scene, dryRun ? undefined : settle);
  const commands = dryRun ? findings.flatMap(({ mends }) => mends.map(({ command }) => command)) : done;
  if (json) out(`${JSON.stringify({ dryRun, commands, left: findings.map(plain), busy }, undefined, 2)}\n`);
  else {
    for (const finding of findings) out(told(finding, paint));
    if (busy.length > 0)
      out(`${paint("dim", `left to the verb that is at work on it: ${busy.join(", ")}`)}\n`);
    out(`${summary(commands.length, findings.length, dryRun)}\n`);
  }
  return findings.length === 0 ? Exit.ok : Exit.found;
}

function summary(commands: number, left: number, dryRun: boolean): string {
  if (dryRun)
    return left === 0
      ? "nothing to settle"
      : `${commands} actions would settle what can be; nothing was done`;
  if (commands === 0 && left === 0) return "nothing to settle";
  return `${commands} actions done, ${left === 0 ? "nothing is left" : `${left} left to a person or the runtime`}`;
}
