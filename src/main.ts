// Joins environment, input, output and exit status to one command. The only file that knows of the process.
import { answer } from "./cni/plugin.ts";
import { readText, writeText } from "./files.ts";

// Leaves at once: nothing here is worth waiting for. No top-level `await`: it would make the bundle wait for it too.
if (process.env.CNI_COMMAND) process.exit(runPlugin());
else runCommand().then(process.exit);

/** A container runtime calls. */
function runPlugin(): number {
  const { stdout, exitCode } = answer(process.env, () => readText(0));
  return stdout === undefined || write(1, `${JSON.stringify(stdout)}\n`) ? exitCode : 1;
}

/** A person calls. */
async function runCommand(): Promise<number> {
  // A bundle of its own (scripts/build.ts): left to Bun to load.
  const { run } = await import(/* webpackIgnore: true */ "./cli/cli.ts");
  return run(process.argv.slice(2), {
    out: (text) => write(1, text),
    err: (text) => write(2, text),
    input: () => readText(0),
    colours: process.stdout.isTTY === true && !process.env.NO_COLOR,
    environment: process.env,
  });
}

/** Whole, by write(2): `process.stdout` takes longer to set up than ADD takes to wire. False if the reader is gone. */
function write(fd: number, text: string): boolean {
  try {
    writeText(fd, text);
    return true;
  } catch {
    return false;
  }
}
