// What the demo claims, each with what was seen of it.
import { bold, green, print, red } from "./terminal.ts";

interface Row {
  readonly claim: string;
  readonly seen: string;
  readonly held: boolean;
}

export class Claims {
  readonly #rows: Row[] = [];

  /** Notes and prints whether a claim held. */
  hold(claim: string, seen: string, held: boolean): void {
    this.#rows.push({ claim, seen, held });
    print(`  ${verdict(held)}  ${claim}: ${bold(seen)}`);
  }

  /** False as long as nothing was claimed. */
  get allHeld(): boolean {
    return this.#rows.length > 0 && this.#rows.every(({ held }) => held);
  }

  /** The table of all claims, and the time it took to see them. */
  summary(seconds: number): void {
    const rows = this.#rows;
    const claimWidth = Math.max(...rows.map(({ claim }) => claim.length));
    const seenWidth = Math.max(...rows.map(({ seen }) => seen.length));
    const rule = `  ${"─".repeat(claimWidth)}  ${"─".repeat(seenWidth)}  ${"─".repeat(6)}`;
    print(`\n${bold("Summary")}\n`);
    print(bold(`  ${"claim".padEnd(claimWidth)}  ${"seen".padEnd(seenWidth)}  result`));
    print(rule);
    for (const { claim, seen, held } of rows) {
      print(`  ${claim.padEnd(claimWidth)}  ${seen.padEnd(seenWidth)}  ${verdict(held)}`);
    }
    print(rule);
    const held = rows.filter((row) => row.held).length;
    print(`  ${held} of ${rows.length} claims held, total time ${seconds.toFixed(1)} s`);
  }
}

function verdict(held: boolean): string {
  return held ? green("ok") : red("failed");
}
