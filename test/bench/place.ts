// Where a contestant works: a host of its own, with sandboxes made beforehand.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import type { Verb } from "../helpers/plugin.ts";
import { CONTESTANTS, type Contestant, call, type Target } from "./contestants.ts";
import { inside, type Run, run, runAtOnce } from "./launch.ts";
import { peakMemory } from "./memory.ts";

/** Between two measured runs, so that what the kernel puts off (freeing, RCU) is not the next one's burden. */
const PAUSE_MS = 5;

export interface Burst {
  readonly runs: readonly Run[];
  readonly lastMs: number;
}

/** A contestant on a host of its own. All hosts are alike, and so are all sandboxes. */
export class Place implements Disposable {
  readonly contestant: Contestant;
  readonly host = new TestHost();
  readonly #sandboxes: TestNetns[] = [];
  readonly #answers = new Map<string, unknown>();
  /** On the lab's own tmpfs, which goes with the lab, even if we are interrupted. */
  readonly #states = mkdtempSync("/run/bench-");
  #state = "";
  #network = "";
  #attachments = 0;

  constructor(contestant: Contestant) {
    this.contestant = contestant;
    this.network("bench");
  }

  /** The network that is worked for from now on; its state is made empty. Returns the state's directory. */
  network(name: string): string {
    this.#network = name;
    this.#state = join(this.#states, name);
    rmSync(this.#state, { recursive: true, force: true });
    mkdirSync(this.#state, { recursive: true });
    return this.#state;
  }

  /** Returns to a network as it was left. */
  returnTo(name: string): void {
    this.#network = name;
    this.#state = join(this.#states, name);
  }

  /** As many targets as asked for, each a new container in a sandbox that is as if new. */
  targets(count: number): Target[] {
    while (this.#sandboxes.length < count) this.#sandboxes.push(new TestNetns("sandbox"));
    return this.#sandboxes.slice(0, count).map((sandbox) => {
      sandbox.ipBatch("link set lo down"); // all that DEL leaves behind
      this.#attachments += 1;
      // As long as a runtime's.
      return { containerId: String(this.#attachments).padStart(64, "c"), netns: sandbox.path };
    });
  }

  run(verb: Verb, target?: Target, overrides: Readonly<Record<string, unknown>> = {}): Run {
    const prepared = this.#call(verb, target, overrides);
    Bun.sleepSync(PAUSE_MS);
    const outcome = inside(this.host.path, () => run(prepared));
    if (verb === "ADD" && target) this.#answers.set(target.containerId, JSON.parse(outcome.stdout));
    return outcome;
  }

  /** All at once. */
  burst(verb: Verb, targets: readonly Target[]): Burst {
    const calls = targets.map((target) => this.#call(verb, target));
    Bun.sleepSync(PAUSE_MS);
    return inside(this.host.path, () => runAtOnce(calls));
  }

  /** Peak memory by process, MB. */
  peakMemory(verb: Verb, target?: Target): Record<string, number> {
    const prepared = this.#call(verb, target, {});
    return inside(this.host.path, () => peakMemory(prepared));
  }

  #call(verb: Verb, target?: Target, overrides: Readonly<Record<string, unknown>> = {}) {
    const configuration = this.contestant.netconf(this.#network, this.#state);
    const prevResult =
      verb === "CHECK" && target ? { prevResult: this.#answers.get(target.containerId) } : {};
    return call(this.contestant, verb, { ...configuration, ...prevResult, ...overrides }, target);
  }

  [Symbol.dispose](): void {
    for (const sandbox of this.#sandboxes) sandbox[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** One place for each contestant, gone with the block. */
export class Places implements Disposable {
  readonly all: readonly Place[];
  readonly #stack = new DisposableStack();

  constructor(contestants = CONTESTANTS) {
    this.all = contestants.map((contestant) => this.#stack.use(new Place(contestant)));
  }

  [Symbol.dispose](): void {
    this.#stack[Symbol.dispose]();
  }
}

/** Whose turn is first changes from round to round: A B C, B C A, … and back to front every other time. */
export function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = round % all.length;
  const turned = [...all.slice(first), ...all.slice(0, first)];
  return round % 2 === 0 ? turned : turned.reverse();
}
