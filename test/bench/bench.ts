// npm run bench: slash32 beside the reference plugins, in one run. See README.md in this directory.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Panel, renderChart } from "./chart.ts";
import { describeMachine, Load } from "./machine.ts";
import { PARTS } from "./parts.ts";
import type { Row } from "./rows.ts";
import { renderMarkdown, renderTable } from "./table.ts";

const RESULTS = join(import.meta.dirname, "../../bench");
const ROUNDS = 60;
const QUICK_ROUNDS = 15;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    markdown: { type: "boolean", default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? QUICK_ROUNDS : ROUNDS));
const names = options.only?.split(",") ?? Object.keys(PARTS);

const machine = describeMachine();
const load = new Load();
const rows: Row[] = [];
const panels: Panel[] = [];
for (const name of names) {
  const measure = PARTS[name];
  if (measure === undefined) {
    console.error(`Cannot measure "${name}": expected some of ${Object.keys(PARTS).join(",")}`);
    process.exit(2);
  }
  process.stderr.write(`${name} `);
  const part = await measure(rounds);
  rows.push(...part.rows);
  panels.push(...(part.panels ?? []));
}
process.stderr.write("\n");
const others = load.others();

console.log(options.markdown ? renderMarkdown(rows) : renderTable(rows));
console.log(
  `\n${machine.date}, Linux ${machine.kernel}, ${machine.cpus} x ${machine.cpu}; slash32 ${machine.slash32}, ` +
    `Bun ${machine.bun}, containernetworking-plugins ${machine.plugins}\n` +
    `${rounds} rounds; others, and the kernel's own threads, had ${(others * 100).toFixed(0)} % of the CPU time meanwhile`,
);
// Only a whole run is worth keeping.
if (options.only === undefined && rounds >= ROUNDS) {
  mkdirSync(RESULTS, { recursive: true });
  const results = { ...machine, rounds, othersShareOfCpuTime: Number(others.toFixed(3)), rows, panels };
  writeFileSync(join(RESULTS, "results.json"), `${JSON.stringify(results, rounded, 2)}\n`);
  writeFileSync(join(RESULTS, "chart.svg"), renderChart(panels, machine));
  console.log("Written: bench/results.json, bench/chart.svg");
}

/** No clock is so exact that more digits meant anything. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(5)) : value;
}
