// An entry as a line for people.
import type { Paint } from "../paint.ts";
import { visibleLength } from "../paint.ts";
import type { Entry } from "./entry.ts";

/** How many characters of a container ID tell it from others. */
const SHORT_ID = 12;

/** Cells that are aligned among lines, and the rest of the line. */
export function rowOf(entry: Entry, paint: Paint): { readonly cells: string[]; readonly rest: string } {
  const { time = "", verb = "?", network = "", ms, error } = entry;
  const cells = [
    paint("dim", time.replace("T", " ")),
    paint("bold", verb),
    who(entry),
    network,
    `${duration(ms).padStart(7)} ms`,
  ];
  const words = error ? paint("red", `${error.code ?? "?"} ${error.msg ?? ""}`) : addresses(entry);
  return {
    cells,
    rest: [words, paint("dim", parts(entry))].filter((text) => visibleLength(text) > 0).join("  "),
  };
}

function duration(ms: number | undefined): string {
  return typeof ms === "number" ? ms.toFixed(1) : "?";
}

/** The pod if a runtime told it, else the container; STATUS and GC have neither. */
function who({ pod, containerId, ifName }: Entry): string {
  const name = pod ?? containerId?.slice(0, SHORT_ID);
  return name ? `${name} ${ifName ?? ""}`.trimEnd() : "-";
}

function addresses({ result }: Entry): string {
  const list = result?.ips?.map(({ address }) => address) ?? [result?.ip4?.ip, result?.ip6?.ip];
  return list.filter(Boolean).join(" ");
}

function parts({ slowest, steps }: Entry): string {
  const list = (slowest ?? steps ?? []).map(({ what, ms }) => `${what} ${ms.toFixed(1)}`);
  return list.length > 0 ? `(${list.join(", ")})` : "";
}

/** Aligns lines that come one after the other: a column only ever grows. */
export class Columns {
  readonly #widths: number[] = [];

  /** To be called for all that is printed at once, before the first line of it. */
  fit(cells: readonly string[]): void {
    for (const [at, cell] of cells.entries()) {
      this.#widths[at] = Math.max(this.#widths[at] ?? 0, visibleLength(cell));
    }
  }

  line(cells: readonly string[], rest: string): string {
    this.fit(cells);
    const padded = cells.map((cell, at) => cell + " ".repeat((this.#widths[at] ?? 0) - visibleLength(cell)));
    return [...padded, rest].join("  ").trimEnd();
  }
}
