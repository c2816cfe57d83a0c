// Types commands: each is shown, run exactly as shown, and followed by what it printed.
import { execa } from "execa";
import { output, typed } from "./terminal.ts";

export interface Outcome {
  readonly stdout: string;
  readonly exitCode: number;
}

export interface TypeOptions {
  /** Exit statuses other than 0 are shown instead of ending the story. Default false. */
  readonly mayFail?: boolean;
}

/** A command that goes on while others are typed. */
export interface Background {
  /** The lines of its standard output, as they come. Throws when the command fails. */
  lines(): AsyncIterable<string>;
}

/** No command takes seconds; one that does hangs. */
const TIMEOUT_MS = 10_000;

/**
 * A shell in a directory. When `interruption` is aborted, the command that runs is ended and no other is started:
 * every method then throws. Commands also end when the demo is killed (`setpriv --pdeathsig`).
 */
export class Shell {
  readonly #directory: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #interruption: AbortSignal;

  constructor(directory: string, environment: Readonly<Record<string, string>>, interruption: AbortSignal) {
    this.#directory = directory;
    this.#environment = environment;
    this.#interruption = interruption;
  }

  /** Shows a command, runs it and shows its output. Throws when it fails, unless it may. */
  async type(command: string, options: TypeOptions = {}): Promise<Outcome> {
    typed(command);
    const outcome = await this.run(command, options);
    output(outcome.stdout);
    return outcome;
  }

  /** Runs a command without showing anything. Throws when it fails, unless it may. */
  async run(command: string, { mayFail = false }: TypeOptions = {}): Promise<Outcome> {
    const outcome = await this.#start(command, { all: true, reject: false });
    this.#interruption.throwIfAborted();
    const { all, stdout, exitCode, failed, shortMessage } = outcome;
    const ending = exitCode === undefined ? shortMessage : `exit status ${exitCode}`;
    if (failed && !(mayFail && exitCode !== undefined))
      throw new Error(`Cannot run ${command}: ${ending}\n${all}`);
    return { stdout, exitCode: exitCode ?? 0 };
  }

  /** Shows and starts a command, and waits until its standard error says `ready`. */
  async background(command: string, ready: string): Promise<Background> {
    typed(`${command} &`);
    const subprocess = this.#start(command, {});
    const isReady = new Promise<void>((resolve) => {
      subprocess.stderr.on("data", (chunk) => String(chunk).includes(ready) && resolve());
    });
    // If it ends instead, for whatever reason, its lines will tell.
    const isOver = subprocess.then(ignore, ignore);
    await Promise.race([isReady, isOver]);
    this.#interruption.throwIfAborted();
    return { lines: () => subprocess.iterable() };
  }

  #start<const Options extends object>(command: string, options: Options) {
    this.#interruption.throwIfAborted();
    return execa("setpriv", ["--pdeathsig", "KILL", "sh", "-ec", command], {
      cwd: this.#directory,
      env: this.#environment,
      stdin: "ignore",
      cancelSignal: this.#interruption,
      timeout: TIMEOUT_MS,
      ...options,
    });
  }
}

function ignore(): void {}
