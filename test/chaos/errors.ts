/** Lets every system call of a verb fail in turn, and sees what the verb makes of it. */

import { assertValid } from "../helpers/schema.ts";
import { type Call, failAt, RUNTIME_CALLS } from "./calls.ts";
import {
  begin,
  difference,
  expectSuccess,
  failure,
  inLanes,
  readyStages,
  run,
  type Scenario,
  traced,
} from "./crash.ts";
import type { Outcome, Stage } from "./stage.ts";

export const ERRNOS = ["ENOSPC", "EIO", "EINTR", "ENOMEM", "EPERM"] as const;

/**
 * Calls that are not made to fail. The runtime's own for memory and threads (RUNTIME_CALLS): Bun ends the process when
 * they fail, as any program would. The others cannot fail (getpid(2), exit_group(2) and their kind), or tell nothing:
 * `statm` is how the garbage collector looks at its own size.
 */
const INFALLIBLE = new Set(["exit_group", "geteuid", "getpid", "gettid", "getuid"]);

export function isFallible({ name }: Call): boolean {
  return !RUNTIME_CALLS.has(name) && !INFALLIBLE.has(name);
}

export type Findings = { failures: number; successes: number; readonly faults: string[] };

/**
 * Bun's own event loop around another IPAM plugin: where it fails after the plugin was started, the plugin goes on
 * unobserved, and may lease an address after DEL took it back. Known, and left to the runtime's DEL or GC.
 */
function isSpawning({ ipam }: Scenario, { name }: Call): boolean {
  return ipam !== "slash32" && name.startsWith("epoll_");
}

/** Every call of the verb, with every errno; or, unless `all`, with one of them, each call with the next. */
export async function disturb(scenario: Scenario, { all }: { all: boolean }): Promise<Findings> {
  using resources = new DisposableStack();
  const stages = await readyStages(resources, scenario);
  const [first] = stages as [Stage, ...Stage[]];
  const calls = (await traced(first, scenario)).own.filter(
    (call) => isFallible(call) && !isSpawning(scenario, call),
  );
  const wanted = await goal(first, scenario);
  const cases = calls.flatMap((call, at) => {
    const errnos = all ? ERRNOS : [ERRNOS[at % ERRNOS.length] as string];
    return errnos.map((errno) => ({ call, errno }));
  });
  const findings: Findings = { failures: 0, successes: 0, faults: [] };
  await inLanes(stages, cases, async (stage, { call, errno }) => {
    await begin(stage, scenario);
    const outcome = await run(stage, scenario, failAt(call, errno));
    if (scenario.ipam !== "slash32") await stage.quiet();
    if (outcome.exitCode === 0) findings.successes += 1;
    else findings.failures += 1;
    const faults = isAnswer(call, outcome)
      ? await unheard(stage, outcome)
      : await judged(stage, scenario, outcome, wanted);
    for (const fault of faults) {
      findings.faults.push(`${errno} for ${call.name} ${call.nth}, ${call.text}: ${fault}`);
    }
  });
  return findings;
}

/**
 * The result itself cannot be written: nobody is there to be told of an error. The runtime's DEL is what remains.
 * On a busy machine a verb may make a call more before, and the n-th is then another, which is judged as all others.
 */
function isAnswer({ text }: Call, { stdout }: Outcome): boolean {
  return text.startsWith("write(1,") && stdout === "";
}

async function unheard(stage: Stage, { exitCode }: Outcome): Promise<string[]> {
  const del = failure("DEL", await stage.run("DEL"));
  return [...(exitCode === 1 ? [] : [`ends with ${exitCode}`]), ...del, ...(await stage.remains())];
}

/** What a success leaves. */
async function goal(stage: Stage, scenario: Scenario): Promise<string> {
  await begin(stage, scenario);
  expectSuccess(scenario.verb, await run(stage, scenario));
  return kernel(stage);
}

/** The kernel's side, and how many records there are: which address it is may differ. */
async function kernel(stage: Stage): Promise<string> {
  const lines = (await stage.remains()).filter((line) => !/^(lease|host-local:) /.test(line));
  const anyAddress = lines.map((line) => line.replace(/10\.20\.1\.\d+|fd00:20::[\da-f]+/g, "ADDRESS"));
  return [...anyAddress, `${stage.leases().length} records`].sort().join("\n");
}

async function judged(stage: Stage, scenario: Scenario, outcome: Outcome, wanted: string): Promise<string[]> {
  if (outcome.exitCode === 0) {
    const unlike = difference(wanted, await kernel(stage));
    return unlike ? [`succeeds, but\n${unlike}`] : [];
  }
  const wrong = malformed(outcome);
  if (scenario.verb === "ADD") {
    const left = await stage.remains();
    return left.length > 0
      ? [...wrong, `fails (${outcome.stdout.trim()}) and leaves\n${left.join("\n")}`]
      : wrong;
  }
  // What takes away may leave something behind when it fails; then the second time takes it away.
  const again = failure(`${scenario.verb} again`, await run(stage, scenario));
  return [...wrong, ...again, ...(await stage.remains()).map((line) => `leaves ${line}`)];
}

/** What is wrong with an answer that tells a failure. */
export function malformed({ exitCode, stdout, stderr, json }: Outcome): string[] {
  if (exitCode !== 1) return [`ends with ${exitCode}: ${stdout}${stderr}`];
  if (json === undefined) return [`prints no error object: ${stdout}${stderr}`];
  try {
    assertValid("error", json);
  } catch (error) {
    return [(error as Error).message];
  }
  const isClear = /^[A-Z]\w+: \S/.test(json.msg ?? "") && !/[\r\n]|\s+at /.test(json.msg ?? "");
  const hasTrace = /\n\s+at |\.[jt]s:\d/.test(`${json.details}${stderr}`);
  const isBug = json.code === 999;
  return isClear && !hasTrace && !isBug ? [] : [`the error is not clear: ${stdout}${stderr}`];
}
