/** Stops a verb at every system call it makes, and sees what becomes of each state that is left. */

import type { Verb } from "../helpers/plugin.ts";
import { type Call, type Calls, RUNTIME_CALLS, record, stopAt } from "./calls.ts";
import { type Ipam, type Outcome, type Stack, Stage } from "./stage.ts";

export type Scenario = {
  readonly verb: Verb & ("ADD" | "DEL" | "GC");
  readonly stack: Stack;
  readonly ipam: Ipam;
  /** Whether the network had attachments before, which have left. */
  readonly store: "none" | "used";
};

export type Tally = {
  stops: number;
  /** Calls that this run did without, as the runtime's own come at moments of their own. */
  missed: number;
  /** Different states that the stops left. */
  readonly states: Set<string>;
  /** What was wrong after a DEL, an ADD or a GC, and after which stop. */
  readonly leaks: string[];
};

/** On how many hosts at a time: deleting a link is mostly waiting. */
export const LANES = 3;
/** What depends on another plugin's pace is tried this often. */
const ATTEMPTS = 5;

/** Runs the scenario on several hosts at once; each call of the verb is one stop. */
export async function crash(scenario: Scenario, { startUp = true } = {}): Promise<Tally> {
  using resources = new DisposableStack();
  const stages = await readyStages(resources, scenario);
  const calls = await traced(stages[0] as Stage, scenario);
  const tally: Tally = { stops: 0, missed: 0, states: new Set(), leaks: [] };
  if (startUp) await startUpChangesNothing(stages, scenario, calls, tally);
  // The runtime's calls come at moments of their own: the states they meet have been met by then.
  const runtimes = [...(startUp ? calls.startUp : []), ...calls.own].filter(isRuntimes);
  for (const part of [calls.own.filter((call) => !isRuntimes(call)), runtimes]) {
    await inLanes(stages, part, (stage, call) => stop(stage, scenario, call, tally));
  }
  return tally;
}

/** Hosts as the scenario finds them, their pods' settings as an earlier attachment left them. */
export async function readyStages(resources: DisposableStack, scenario: Scenario): Promise<Stage[]> {
  const stages = Array.from({ length: LANES }, () => resources.use(new Stage(scenario)));
  await Promise.all(
    stages.map(async (stage) => {
      for (const verb of ["ADD", "DEL"] as const) expectSuccess(verb, await stage.run(verb));
      if (scenario.store === "used") stage.save();
      await stage.restore();
      await stage.remember();
    }),
  );
  return stages;
}

/** Each item once, by whichever stage is free. */
export async function inLanes<S, T>(
  stages: readonly S[],
  items: readonly T[],
  work: (stage: S, item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const lane = async (stage: S) => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(stage, item);
  };
  await Promise.all(stages.map(lane));
}

/** What the verb finds: nothing for ADD, an attachment for the others. */
export async function begin(stage: Stage, { verb }: Pick<Scenario, "verb">): Promise<void> {
  await stage.restore();
  if (verb !== "ADD") expectSuccess("ADD", await stage.run("ADD"));
}

/** Runs the verb, as the scenario has it. */
export function run(stage: Stage, { verb }: Pick<Scenario, "verb">, through: readonly string[] = []) {
  const netconf = verb === "GC" ? { "cni.dev/valid-attachments": [] } : {};
  return stage.run(verb, { through, netconf });
}

/**
 * How often the kernel is asked again is not for us to say: of an IPv6 address that it has not dealt with yet, after a
 * pause, or by itself, where somebody else has its lock (ERESTARTNOINTR).
 */
const REPEATED = /^clock_nanosleep\(|= \? ERESTART/;
const RECORDINGS = 50;

/** The verb's calls, in order, of a run that need not wait for the kernel. */
export async function traced(stage: Stage, scenario: Scenario): Promise<Calls> {
  for (let left = RECORDINGS; ; left -= 1) {
    await begin(stage, scenario);
    const calls = await record(async (through) =>
      expectSuccess(scenario.verb, await run(stage, scenario, through)),
    );
    await stage.quiet();
    if (left === 1 || !calls.own.some(({ text }) => REPEATED.test(text))) return calls;
  }
}

/** Before our first line nothing is touched: one look after all those stops is enough. */
async function startUpChangesNothing(
  stages: readonly Stage[],
  scenario: Scenario,
  { startUp }: Calls,
  tally: Tally,
): Promise<void> {
  const pictures = new Map<Stage, string>();
  for (const stage of stages) {
    await begin(stage, scenario);
    pictures.set(stage, await stage.picture());
  }
  // Stopped at its execve, it would be the tracer that stops.
  const calls = startUp.filter((call) => call.name !== "execve" && !isRuntimes(call));
  await inLanes(stages, calls, async (stage, call) => {
    if (isStopped(await run(stage, scenario, stopAt(call)))) tally.stops += 1;
    else tally.leaks.push(`${call.text} was not reached`);
  });
  for (const [stage, picture] of pictures) {
    const changes = difference(picture, await stage.picture());
    if (changes) tally.leaks.push(`the start of ${scenario.verb} changes something:\n${changes}`);
  }
}

async function stop(stage: Stage, scenario: Scenario, call: Call, tally: Tally): Promise<void> {
  const broken = await broke(stage, scenario, call);
  if (broken === undefined) {
    tally.missed += 1;
    if (!isAtItsOwnPace(call, scenario)) tally.leaks.push(`${call.text} was not reached`);
    return;
  }
  tally.stops += 1;
  if (tally.states.has(broken)) return; // what comes of this state was seen
  tally.states.add(broken);
  for (const [what, mended] of Object.entries(MENDS)) {
    const again: string | undefined = what === "DEL" ? broken : await broke(stage, scenario, call, broken);
    if (again !== broken)
      tally.leaks.push(`${call.text}: not the same state twice:\n${difference(broken, again)}`);
    for (const leak of await mended(stage)) tally.leaks.push(`${call.text} then ${what}: ${leak}`);
    begun.delete(stage);
  }
}

/** What each stage holds where that is what a verb begins with. */
const begun = new Map<Stage, string>();

/**
 * Begins anew, stops the verb at the call, and tells the state; `undefined` when the call never came. With a state
 * that is wanted, tries again until it is that one.
 */
async function broke(
  stage: Stage,
  scenario: Scenario,
  call: Call,
  wanted?: string,
): Promise<string | undefined> {
  let state: string | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!begun.has(stage)) {
      await begin(stage, scenario);
      begun.set(stage, await stage.picture());
    }
    const outcome = await run(stage, scenario, stopAt(call));
    if (scenario.ipam !== "slash32") await stage.quiet();
    state = await stage.picture();
    if (state !== begun.get(stage)) begun.delete(stage);
    if (!isStopped(outcome)) state = undefined;
    else if (wanted === undefined || state === wanted) return state;
  }
  return state;
}

function isRuntimes({ name }: Call): boolean {
  return RUNTIME_CALLS.has(name);
}

/** The runtime's calls differ from run to run; with another plugin to wait for, so do those that wait. */
export function isAtItsOwnPace(call: Call, { ipam }: Scenario): boolean {
  return isRuntimes(call) || (ipam !== "slash32" && /^(poll|read)$/.test(call.name));
}

export function isStopped({ exitCode }: Outcome): boolean {
  return exitCode === null || exitCode === 137;
}

const MENDS: Readonly<Record<string, (stage: Stage) => Promise<string[]>>> = {
  async DEL(stage) {
    return [...failure("DEL", await stage.run("DEL")), ...(await stage.remains())];
  },

  async ADD(stage) {
    const add = await stage.run("ADD");
    const check = await stage.run("CHECK", { netconf: { prevResult: add.json } });
    return [
      ...failure("ADD", add),
      ...failure("CHECK", check),
      ...(await stage.unreachable()).map((address) => `${address} cannot be reached`),
      ...(await unlike(stage)),
    ];
  },

  async GC(stage) {
    return [...failure("GC", await stage.gc()), ...(await stage.remains())];
  },
};

const shapes = new Map<Stage, string>();

/** Where an ADD after a stop differs from one that nothing went before: links, routes, neighbours, number of leases. */
async function unlike(stage: Stage): Promise<string[]> {
  const seen = await shape(stage);
  if (!shapes.has(stage)) {
    await begin(stage, { verb: "DEL" });
    shapes.set(stage, await shape(stage));
  }
  const wanted = shapes.get(stage) as string;
  return seen === wanted ? [] : [`not one attachment:\n${difference(wanted, seen)}`];
}

async function shape(stage: Stage): Promise<string> {
  const kernel = (await stage.remains()).filter((line) => !/^(lease|host-local:) /.test(line));
  // Whichever address it is: after a stop it may be another one.
  const lines = kernel.map((line) => line.replace(/10\.20\.1\.\d+|fd00:20::[\da-f]+/g, "ADDRESS"));
  return [...lines, `${stage.leases().length} records`].sort().join("\n");
}

export function failure(verb: string, { exitCode, stdout, stderr }: Outcome): string[] {
  return exitCode === 0 ? [] : [`${verb} exits with ${exitCode}: ${stdout}${stderr}`];
}

export function expectSuccess(verb: string, outcome: Outcome): void {
  const [words] = failure(verb, outcome);
  if (words) throw new Error(`Cannot set the stage: ${words}`);
}

export function difference(before: string, after = ""): string {
  const [a, b] = [before.split("\n"), after.split("\n")];
  const gone = a.filter((line) => !b.includes(line)).map((line) => `- ${line}`);
  return [...gone, ...b.filter((line) => !a.includes(line)).map((line) => `+ ${line}`)].join("\n");
}
