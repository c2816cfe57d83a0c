// A check of the doctor's, and what it finds. Checks only look: none changes anything.
import type { Node } from "../node/node.ts";

/** An error cuts pods off, or will at the next ADD; a warning may. */
export type Severity = "error" | "warning";

/** Something wrong, for a person who has to mend it. */
export interface Finding {
  readonly severity: Severity;
  /** What was seen, with its name and value. */
  readonly seen: string;
  /** Why it matters: what a user of the network would notice. */
  readonly why: string;
  /** What to type, on the node, as root. Where only the reader can know a word, it is `<in brackets>`. */
  readonly type: string;
}

/** What came of a check. */
export type Verdict =
  /** `seen` is what speaks for it, in a few words. */
  | { readonly kind: "fine"; readonly seen: string }
  | { readonly kind: "found"; readonly findings: readonly Finding[] }
  /** The check could not be made, and why. */
  | { readonly kind: "unable"; readonly reason: string };

export interface Check {
  /** The question, as one would nod to it: "packets are forwarded". */
  readonly title: string;
  run(node: Node): Verdict;
}

/** A subject is a heading of the report. */
export interface Subject {
  readonly name: string;
  readonly checks: readonly Check[];
}

export function fine(seen: string): Verdict {
  return { kind: "fine", seen };
}

export function unable(reason: string): Verdict {
  return { kind: "unable", reason };
}

/** The findings, or what speaks for all being well where there are none. */
export function found(findings: readonly Finding[], otherwise: string): Verdict {
  return findings.length > 0 ? { kind: "found", findings } : fine(otherwise);
}

export function error(seen: string, why: string, type: string): Finding {
  return { severity: "error", seen, why, type };
}

export function warning(seen: string, why: string, type: string): Finding {
  return { severity: "warning", seen, why, type };
}

/** "3 pods", "1 pod". */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
