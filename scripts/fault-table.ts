/** Writes the README's table of faults from test/faults: what is seen, what slash32 says, what mends it. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fault, readFaults } from "../test/faults/fault.ts";

const README = join(import.meta.dirname, "../README.md");
const BEGIN = "<!-- The table is made of the scripts in test/faults by npm run faults:table. -->\n";
const END = "<!-- Here it ends. -->\n";

/** The README with the table as it has to be. */
export function withFaultTable(readme: string): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`Cannot find the table's place in ${README}`);
  return `${readme.slice(0, begin + BEGIN.length)}\n${faultTable()}\n${readme.slice(end)}`;
}

function faultTable(): string {
  const head = ["| symptom | slash32 says | mend |", "|---|---|---|"];
  const faults = readFaults().sort((a, b) => place(a) - place(b));
  return [...head, ...faults.map(row), ""].join("\n");
}

/** How the names of faults begin, from the pod outwards. */
const PLACES = ["pod", "end", "host", "firewall", "lease", "runtime", "other"];

function place({ name }: Fault): number {
  return PLACES.indexOf(name.slice(0, name.indexOf("-")));
}

function row({ symptom, asked, says, mend, isByHand }: Fault): string {
  const remedy = isByHand && !/^(sed|mkdir|kubectl|ufw|slash32|\$EDITOR) /.test(mend) ? mend : code(mend);
  return `| ${symptom} | ${code(asked.replace(/"\$\w+"/, "…"))}: ${escaped(says)} | ${remedy} |`;
}

function code(text: string): string {
  return `\`${text.replaceAll("|", "\\|")}\``;
}

/** As text, what Markdown would take for its own. */
function escaped(text: string): string {
  return text.replace(/[|*_<>]/g, "\\$&");
}

if (import.meta.main) writeFileSync(README, withFaultTable(readFileSync(README, "utf8")));
