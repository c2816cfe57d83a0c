/** Runs the executable as a person does, in the network of a host: arguments, standard input, what was printed. */

import { execaSync } from "execa";
import type { CommandOutcome, TestNetns } from "./lab.ts";
import { patient } from "./patience.ts";
import { EXECUTABLE } from "./plugin.ts";

export type PersonOptions = {
  /** Standard input; a value is sent as JSON. Default: empty. */
  readonly input?: string | object;
  readonly env?: Readonly<Record<string, string>>;
  /** Another executable than that under test. */
  readonly executable?: string;
};

/** `slash32 <args>`. A failing command is an outcome, not an error. */
export function slash32(
  host: TestNetns,
  args: readonly string[],
  { input = "", env = {}, executable = EXECUTABLE }: PersonOptions = {},
): CommandOutcome {
  const outcome = execaSync("nsenter", [`--net=${host.path}`, "--", executable, ...args], {
    env: { PATH: process.env.PATH, ...env },
    extendEnv: false,
    input: typeof input === "string" ? input : JSON.stringify(input),
    timeout: patient(30_000),
    reject: false,
  });
  const { stdout, stderr, exitCode = -1 } = outcome;
  return { stdout, stderr, exitCode };
}
