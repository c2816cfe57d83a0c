// Lines of the log as they are read again, whatever has become of them.

/** What a verb wrote. Anything may be missing: a line may be another version's. */
export interface Entry {
  readonly time?: string;
  readonly verb?: string;
  readonly network?: string;
  readonly containerId?: string;
  readonly ifName?: string;
  readonly netns?: string;
  readonly pod?: string;
  readonly trace?: string;
  readonly ms?: number;
  readonly error?: { readonly code?: number; readonly msg?: string; readonly details?: string };
  readonly result?: {
    readonly ips?: readonly { readonly address?: string }[];
    readonly ip4?: { readonly ip?: string };
    readonly ip6?: { readonly ip?: string };
  };
  readonly slowest?: readonly Part[];
  readonly steps?: readonly Part[];
}

export interface Part {
  readonly what: string;
  readonly ms: number;
}

/** How every line begins. */
const BEGINNING = '{"time":';

/** What a line tells, and whether part of it was lost. A line that a full disk has cut goes before the next one. */
export function readLine(line: string): { readonly entry?: Entry; readonly broken: boolean } {
  const whole = parsed(line);
  if (whole) return { entry: whole, broken: false };
  const rest = line.lastIndexOf(BEGINNING);
  const entry = rest > 0 ? parsed(line.slice(rest)) : undefined;
  return entry ? { entry, broken: true } : { broken: true };
}

function parsed(text: string): Entry | undefined {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export interface Wanted {
  /** "namespace/name", or the name alone. */
  readonly pod?: string | undefined;
  /** A container ID, or how it begins. */
  readonly container?: string | undefined;
  readonly verb?: string | undefined;
  readonly failed?: boolean | undefined;
}

export function isWanted(entry: Entry, { pod, container, verb, failed }: Wanted): boolean {
  if (pod !== undefined && entry.pod !== pod && entry.pod?.split("/").at(-1) !== pod) return false;
  if (container !== undefined && !entry.containerId?.startsWith(container)) return false;
  if (verb !== undefined && entry.verb?.toLowerCase() !== verb.toLowerCase()) return false;
  return !failed || entry.error !== undefined;
}
