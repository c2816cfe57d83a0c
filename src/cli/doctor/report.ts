// What the doctor says: to people by subject, to programs as one object.
import { type Paint, table } from "../paint.ts";
import { counted, type Finding, type Severity, type Verdict } from "./check.ts";

/** A check that was made, or tried. */
export interface Made {
  readonly subject: string;
  readonly title: string;
  readonly verdict: Verdict;
}

export interface Count {
  readonly errors: number;
  readonly warnings: number;
  readonly fine: number;
  readonly unable: number;
}

const MARK: Readonly<Record<Severity | "fine" | "unable", readonly [Parameters<Paint>[0], string]>> = {
  error: ["red", "✗"],
  warning: ["yellow", "!"],
  fine: ["green", "✓"],
  unable: ["cyan", "?"],
};
const INDENT = "    ";

export function findingsOf(made: readonly Made[]): Finding[] {
  return made.flatMap(({ verdict }) => (verdict.kind === "found" ? verdict.findings : []));
}

export function count(made: readonly Made[]): Count {
  const findings = findingsOf(made);
  const errors = findings.filter(({ severity }) => severity === "error").length;
  return {
    errors,
    warnings: findings.length - errors,
    fine: made.filter(({ verdict }) => verdict.kind === "fine").length,
    unable: made.filter(({ verdict }) => verdict.kind === "unable").length,
  };
}

/** Under a title, a line for each subject; below it what is wrong; with `verbose` also what is not. */
export function forPeople(title: string, made: readonly Made[], paint: Paint, verbose: boolean): string {
  const subjects = [...new Set(made.map(({ subject }) => subject))];
  const parts = subjects.map((name) => {
    const own = made.filter(({ subject }) => subject === name);
    return { heading: heading(name, own, paint), body: body(own, paint, verbose) };
  });
  const headings = table(parts.map(({ heading }) => heading));
  const lines = parts.flatMap(({ body }, at) => [
    headings[at] as string,
    ...body,
    ...(body.length > 0 && at < parts.length - 1 ? [""] : []),
  ]);
  return `${[title, "", ...lines, "", summary(count(made), paint)].join("\n")}\n`;
}

/** A stable shape: what was found, and the outcome of each check. */
export function forPrograms(made: readonly Made[]): string {
  const findings = made.flatMap(({ subject, title, verdict }) =>
    verdict.kind === "found"
      ? verdict.findings.map((finding) => ({ subject, check: title, ...finding }))
      : [],
  );
  const checks = made.map(({ subject, title, verdict }) => ({
    subject,
    check: title,
    outcome: verdict.kind,
    ...(verdict.kind === "fine" ? { seen: verdict.seen } : {}),
    ...(verdict.kind === "unable" ? { reason: verdict.reason } : {}),
  }));
  return `${JSON.stringify({ summary: count(made), findings, checks }, null, 2)}\n`;
}

function heading(name: string, made: readonly Made[], paint: Paint): string[] {
  const { errors, warnings, fine, unable } = count(made);
  const worst = errors > 0 ? "error" : warnings > 0 ? "warning" : unable > 0 ? "unable" : "fine";
  return [mark(worst, paint), paint("bold", name), tally({ errors, warnings, fine, unable }, paint)];
}

function body(made: readonly Made[], paint: Paint, verbose: boolean): string[] {
  return made.flatMap(({ title, verdict }): string[] => {
    if (verdict.kind === "found") return verdict.findings.flatMap((finding) => findingLines(finding, paint));
    if (verdict.kind === "unable")
      return [`  ${mark("unable", paint)} ${title}: cannot be told (${verdict.reason})`];
    return verbose ? [`  ${mark("fine", paint)} ${title}: ${paint("dim", verdict.seen)}`] : [];
  });
}

function findingLines({ severity, seen, why, type }: Finding, paint: Paint): string[] {
  return [
    `  ${mark(severity, paint)} ${paint(MARK[severity][0], seen)}`,
    `${INDENT}${why}`,
    ...type.split("\n").map((line) => `${INDENT}${paint("dim", "$")} ${paint("bold", line)}`),
  ];
}

function mark(of: keyof typeof MARK, paint: Paint): string {
  return paint(...MARK[of]);
}

function summary(counts: Count, paint: Paint): string {
  const { errors, warnings, unable } = counts;
  const words = errors + warnings + unable === 0 ? "All is well: " : "";
  return `${words}${tally(counts, paint)}`;
}

/** "2 errors, 1 warning, 31 fine". */
function tally({ errors, warnings, fine, unable }: Count, paint: Paint): string {
  const parts = [
    errors > 0 ? paint("red", counted(errors, "error")) : "",
    warnings > 0 ? paint("yellow", counted(warnings, "warning")) : "",
    unable > 0 ? paint("cyan", `${unable} not told`) : "",
    fine > 0 ? `${fine} fine` : "",
  ];
  return parts.filter(Boolean).join(", ");
}
