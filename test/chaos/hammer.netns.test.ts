// 20 runtimes at once, 50 attachments, verbs by lot, some of them killed: what stands in the end is what they believe.
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hostEndName } from "../../src/datapath/endpoint.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import type { Answer, Verb } from "../helpers/plugin.ts";
import { EXECUTABLE, netconf } from "../helpers/plugin.ts";
import { malformed } from "./errors.ts";
import { FULL, SEED } from "./full.ts";
import { execute, type Outcome } from "./stage.ts";

const SECONDS = FULL ? 60 : 15;
const RUNTIMES = 20;
const ATTACHMENTS = 50;

/** One verb for one attachment, from when to when, in milliseconds. */
type Deed = {
  readonly verb: Verb;
  readonly from: number;
  readonly to: number;
  /** Absent when it was killed: then it may have done all, or nothing. */
  readonly isDone: boolean | undefined;
  readonly result: Answer | undefined;
};

/** Numbers by lot, the same for the same seed (mulberry32). */
function lot(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Hammer {
  readonly #host: TestHost;
  readonly #pods: readonly TestNetns[];
  readonly #deeds: Deed[][] = Array.from({ length: ATTACHMENTS }, () => []);
  /** Who was told last that an address is theirs, and has not begun to give it back. */
  readonly #holders = new Map<string, number>();
  readonly faults: string[] = [];
  readonly counts = { verbs: 0, kills: 0 };

  constructor(host: TestHost, pods: readonly TestNetns[]) {
    this.#host = host;
    this.#pods = pods;
  }

  /** One runtime, until the time is over. */
  async runtime(next: () => number, deadline: number): Promise<void> {
    const pick = <T>(from: readonly T[]) => from[Math.floor(next() * from.length)] as T;
    while (performance.now() < deadline) {
      const verb = pick(["ADD", "ADD", "ADD", "DEL", "DEL", "CHECK", "GC", "STATUS"] as const);
      const killMs = next() < 0.1 ? next() * 60 : undefined;
      await this.#deed(verb, Math.floor(next() * ATTACHMENTS), killMs);
    }
  }

  async #deed(verb: Verb, at: number, killMs: number | undefined): Promise<void> {
    const from = performance.now();
    if (verb === "DEL") this.#forget(at);
    const last = this.#deeds[at]?.findLast(({ result }) => result !== undefined)?.result;
    const outcome = await this.#run(verb, at, killMs, last);
    const isKilled = outcome.exitCode === null || outcome.exitCode === 137;
    this.counts.verbs += 1;
    if (isKilled) this.counts.kills += 1;
    else if (outcome.exitCode !== 0) this.#judge(verb, at, outcome);
    if (verb !== "ADD" && verb !== "DEL") return;
    const result = verb === "ADD" && outcome.exitCode === 0 ? outcome.json : undefined;
    this.#deeds[at]?.push({
      verb,
      from,
      to: performance.now(),
      isDone: isKilled ? undefined : outcome.exitCode === 0,
      result,
    });
    if (result) this.#note(at, result, from);
  }

  /** A DEL of the same attachment may have come in between: then nobody can tell whose the address is. */
  #note(at: number, { ips = [] }: Answer, from: number): void {
    if (this.#deeds[at]?.some((deed) => deed.verb === "DEL" && deed.to > from)) return;
    for (const { address = "" } of ips) {
      const holder = this.#holders.get(address);
      if (holder !== undefined && holder !== at)
        this.faults.push(`${address} was given to ${at}, and is ${holder}'s`);
      this.#holders.set(address, at);
    }
  }

  #forget(at: number): void {
    for (const [address, holder] of this.#holders) if (holder === at) this.#holders.delete(address);
  }

  /** While others work on the same attachment, CHECK may find it half done; nothing else may fail. */
  #judge(verb: Verb, at: number, outcome: Outcome): void {
    const isExpected = verb === "CHECK";
    const wrong = isExpected
      ? malformed(outcome)
      : [`${verb} ${at} fails: ${outcome.stdout}${outcome.stderr}`];
    this.faults.push(...wrong);
  }

  #run(verb: Verb, at: number, killMs: number | undefined, prevResult: Answer | undefined): Promise<Outcome> {
    const ranges = [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]];
    // All are valid: what no runtime knows of is what a GC may take.
    const valid = this.#pods.map((_, other) => ({ containerID: `c${other}`, ifname: "eth0" }));
    const more = { GC: { "cni.dev/valid-attachments": valid }, CHECK: { prevResult } }[verb as string];
    const kill = killMs === undefined ? [] : ["timeout", "-s", "KILL", (killMs / 1000).toFixed(4)];
    const attachment = {
      CNI_CONTAINERID: `c${at}`,
      CNI_NETNS: this.#pods[at]?.path ?? "",
      CNI_IFNAME: "eth0",
    };
    return execute(["nsenter", `--net=${this.#host.path}`, "--", ...kill, EXECUTABLE], {
      input: JSON.stringify({ ...netconf(this.#host, { ipam: { ranges } }), ...more }),
      env: {
        CNI_COMMAND: verb,
        CNI_PATH: "/nowhere",
        ...(verb === "GC" || verb === "STATUS" ? {} : attachment),
      },
    });
  }

  /** Whether the attachment has to be there; `undefined` where the last deeds overlapped, or were killed. */
  belief(at: number): boolean | undefined {
    const deeds = this.#deeds[at] ?? [];
    const last = deeds.filter((deed) => !deeds.some((later) => later.from > deed.to));
    const isClear = last.every(({ verb, isDone }) => isDone && verb === last[0]?.verb);
    if (last.length === 0) return false;
    return isClear ? last[0]?.verb === "ADD" : undefined;
  }

  /** CHECK by what ADD told last: nothing to say where it passes. */
  async check(at: number): Promise<Outcome> {
    const last = this.#deeds[at]?.findLast(({ result }) => result !== undefined)?.result;
    return this.#run("CHECK", at, undefined, last);
  }

  add(at: number): Promise<Outcome> {
    return this.#run("ADD", at, undefined, undefined);
  }
}

test(`${RUNTIMES} runtimes on ${ATTACHMENTS} attachments for ${SECONDS} s: store = kernel = what they believe`, {
  timeout: 600_000,
}, async () => {
  using resources = new DisposableStack();
  const host = resources.use(new TestHost());
  // As on a host that had pods before: until the very first ADD is through, STATUS says that nothing is forwarded.
  host.setSysctl("net.ipv4.ip_forward", "1");
  const pods = Array.from({ length: ATTACHMENTS }, () => resources.use(new TestNetns("pod")));
  const hammer = new Hammer(host, pods);
  const deadline = performance.now() + SECONDS * 1000;
  await Promise.all(
    Array.from({ length: RUNTIMES }, (_, at) => hammer.runtime(lot(SEED * 1000 + at), deadline)),
  );
  expect(hammer.faults).toEqual([]);

  let certain = 0;
  for (const at of pods.keys()) {
    const belief = hammer.belief(at);
    if (belief === undefined) {
      // Nobody knows what the killed and the overlapping did: a runtime asks again.
      const again = await hammer.add(at);
      expect(again.exitCode, again.stdout).toBe(0);
      continue;
    }
    certain += 1;
    const isThere = records(host).has(`c${at}`);
    expect({ at, isThere }).toEqual({ at, isThere: belief });
    if (!belief) continue;
    const check = await hammer.check(at);
    expect(check.exitCode, check.stdout).toBe(0);
  }
  console.log(
    `${hammer.counts.verbs} verbs by ${RUNTIMES} runtimes, ${hammer.counts.kills} killed, ${certain} of ${ATTACHMENTS} certain in the end`,
  );
  expect(hammer.counts.verbs).toBeGreaterThan(SECONDS * 5);
  expect(certain).toBeGreaterThan(10);
  expect(kernelOf(host)).toEqual(
    [...records(host)]
      .flatMap(([id, addresses]) => addresses.map((address) => `${address} ${end(id)}`))
      .sort(),
  );
});

function end(containerId: string): string {
  return hostEndName("cali", { network: "podnet", containerId, ifName: "eth0" });
}

/** Leased addresses by container, as hex digits. */
function records({ stateDir }: TestHost): Map<string, string[]> {
  using database = new Database(join(stateDir, "podnet/leases.db"));
  const rows = database
    .query("SELECT container_id, hex(address) FROM attachment LEFT JOIN address ON held_by = id")
    .values() as [string, string][];
  const byContainer = Map.groupBy(rows, ([id]) => id);
  return new Map([...byContainer].map(([id, list]) => [id, list.map(([, address]) => address)]));
}

/** Routes of ours, as the database would write them. */
function kernelOf(host: TestHost): string[] {
  const routes = [4, 6].flatMap(
    (family) => host.ip(`-${family}`, "route", "show", "proto", "32") as { dst: string; dev: string }[],
  );
  const links = (host.ip("link", "show", "type", "veth") as { ifname: string }[]).map(({ ifname }) => ifname);
  const idle = links.filter((name) => name !== "uplink0" && !routes.some(({ dev }) => dev === name));
  return [...routes.map(({ dst, dev }) => `${hex(dst)} ${dev}`), ...idle].sort();
}

/** 10.20.1.2 or fd00:20::2. */
function hex(address: string): string {
  if (!address.includes(":"))
    return address
      .split(".")
      .map((part) => Number(part).toString(16).padStart(2, "0"))
      .join("")
      .toUpperCase();
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string) =>
    text
      .split(":")
      .filter(Boolean)
      .map((group) => group.padStart(4, "0"))
      .join("");
  return (groups(head).padEnd(32 - groups(tail).length, "0") + groups(tail)).toUpperCase();
}
