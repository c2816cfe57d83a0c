/** Reads questions from its input, and prints the answers: run by the engine of the executable. */

import { readText, writeText } from "../../src/files.ts";
import { answers } from "./questions.ts";

writeText(1, JSON.stringify(answers(JSON.parse(readText(0)))));
process.exit(0);
