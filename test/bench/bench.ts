// npm run bench: slash32 beside the reference plugins, in one run. See README.md in this directory.
import { parseArgs } from "node:util";
import { PARTS } from "./parts.ts";
import type { Row } from "./rows.ts";
import { renderTable } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 15 : 60));
const chosen = options.only?.split(",") ?? Object.keys(PARTS);
const rows: Row[] = [];
for (const name of chosen) {
  const part = PARTS[name];
  if (part === undefined)
    throw new Error(`Cannot measure "${name}": expected ${Object.keys(PARTS).join(", ")}`);
  process.stderr.write(`measuring ${name}\n`);
  rows.push(...(await part(rounds)));
}
console.log(renderTable(rows));
