// A person calls: joins arguments, input, output and exit status to one command.
import { readText, tryWriteText } from "../files.ts";
import { isTerminal } from "../libc.ts";
import { run } from "./cli.ts";

run(process.argv.slice(2), {
  out: (text) => tryWriteText(1, text),
  err: (text) => tryWriteText(2, text),
  input: () => readText(0),
  colours: isTerminal(1) && !process.env.NO_COLOR,
  environment: process.env,
}).then(process.exit);
