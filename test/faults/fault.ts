/** The faults of this directory: each is a shell script that breaks one thing, headed by what has to be said of it. */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

export type Fault = {
  /** Of the file, without its ending. */
  readonly name: string;
  /** What somebody notices who knows nothing yet. */
  readonly symptom: string;
  /** The command of slash32's that is asked. */
  readonly asked: string;
  /** What it has to name first; "…" stands for any text. */
  readonly says: string;
  /** What it offers, likewise. */
  readonly mend: string;
  /** It is for a person to carry out, and not typed here. */
  readonly isByHand: boolean;
  /** Runs in the host's network, see `FaultBench`. */
  readonly path: string;
};

export function readFaults(): Fault[] {
  const names = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".sh"));
  return names.sort().map((name) => readFault(join(import.meta.dirname, name)));
}

/** Whether the words are what the header announces. */
export function fits(announced: string, words: string): boolean {
  const parts = announced.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`).test(words);
}

function readFault(path: string): Fault {
  const header = new Map(
    Array.from(
      readFileSync(path, "utf8").matchAll(/^# ([A-Z][a-z ]+): (.+)$/gm),
      ([, key = "", value = ""]) => [key, value],
    ),
  );
  const get = (key: string) => {
    const value = header.get(key);
    if (value === undefined) throw new Error(`Cannot read ${path}: it has no line "# ${key}: …"`);
    return value;
  };
  const isByHand = header.has("By hand");
  return {
    name: basename(path, ".sh"),
    symptom: get("Symptom"),
    asked: get("Asked"),
    says: get("Says"),
    mend: get(isByHand ? "By hand" : "Mend"),
    isByHand,
    path,
  };
}
