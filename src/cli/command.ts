// What a command for people is, and what it is given. Each command is a file of its own beside this one.
import { parseArgs } from "@pkgjs/parseargs";

export interface Terminal {
  /** False when nobody reads any more. */
  out(text: string): boolean;
  err(text: string): void;
  /** All of standard input; for commands that read a configuration. */
  input(): string;
  /** Whether `out` is a terminal that may be coloured (a terminal, and NO_COLOR is not set). */
  readonly colours: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Exit statuses: all is well; something is wrong with the network; the command was not understood. */
export const Exit = { ok: 0, found: 1, usage: 2 } as const;

export interface Command {
  /** `slash32 NAME --help`: usage, options, examples. */
  readonly help: string;
  /** Returns the exit status. Throws a UsageError for arguments that make no sense; any other error is reported. */
  run(args: readonly string[], terminal: Terminal): number | Promise<number>;
}

/** Arguments that make no sense; the message says which, and the caller points to --help. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What failed, and what failed on the way out of it. */
export function wordsOf(error: unknown): string {
  if (error instanceof SuppressedError) return `${wordsOf(error.suppressed)}; then: ${wordsOf(error.error)}`;
  return error instanceof Error ? error.message : String(error);
}

type Options = Readonly<Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }>>;

/** Options and positional arguments; throws a UsageError for unknown ones. Short for `parseArgs` as Node has it. */
export function readArguments<const O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Options of a command that has no positional arguments; throws a UsageError for these, too, in the command's name. */
export function readOptions<const O extends Options>(command: string, args: readonly string[], options: O) {
  const { values, positionals } = readArguments(args, options);
  if (positionals.length > 0) throw new UsageError(`${command} takes no ${JSON.stringify(positionals[0])}`);
  return values;
}
