// Reader of the differences that `verify` found: makes those steps true again, and touches no other.
import { answerGateway, type Sides, setSysctl } from "./apply.ts";
import { findLink } from "./host.ts";
import { NetlinkError } from "./netlink/error.ts";
import type { Device } from "./rtnetlink/link.ts";
import { requestOf, type Side } from "./step.ts";
import { SysctlError } from "./sysctl.ts";
import type { Difference } from "./verify.ts";

/** What came of one difference. */
export interface Attempt {
  readonly difference: Difference;
  /** What was done, as a person would type it; absent when it was not, or had mended itself by then. */
  readonly command?: string;
  /** Why it is as it was; absent when it was mended. */
  readonly refusal?: string;
}

/**
 * Re-applies the steps that differ, in the order in which they are given, which is the wiring's. What the kernel
 * refuses, and what only a new pod or a person can mend, is told and does not keep the rest from being mended.
 * One mend may undo another (a MAC that is set costs the neighbours): who has to be sure verifies again.
 */
export function mend(differences: readonly Difference[], sides: Sides): Attempt[] {
  return differences.map((difference) => {
    try {
      const isNeeded = carryOut(difference, sides);
      return { difference, ...(isNeeded ? { command: difference.restore } : {}) };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { difference, refusal: error.message };
    }
  });
}

/** What has to be left to others. */
class BeyondMending extends Error {}

/** Returns whether there was anything to do. */
function carryOut({ step, remedy, restore }: Difference, sides: Sides): boolean {
  if (remedy) {
    if (remedy.requests.length === 0) throw new BeyondMending(restore.replace(/^# /, ""));
    sides[remedy.on].netlink.execute(...remedy.requests);
    return true;
  }
  switch (step.kind) {
    case "veth":
      throw new BeyondMending("a cable is made when a pod is: delete the pod, and its runtime makes another");
    case "sysctl":
      setSysctl(step, sides);
      return true;
    case "gateway":
      return answerGateway(
        step,
        sides,
        device(sides, "host", step.hostEnd),
        device(sides, step.on, step.dev),
      );
    default:
      sides[step.on].netlink.execute(requestOf(step, device(sides, step.on, step.dev)));
      return true;
  }
}

function device(sides: Sides, on: Side, name: string): Device {
  const link = findLink(sides[on], name);
  if (link === undefined) throw new BeyondMending(`there is no ${name}: delete the pod`);
  return link;
}

function isRefusal(error: unknown): error is Error {
  return [NetlinkError, SysctlError, BeyondMending].some((refusal) => error instanceof refusal);
}
