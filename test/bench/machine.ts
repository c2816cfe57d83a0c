// What a result is worth depends on where, when and of what it was measured.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";
import { childrenCpuMs } from "./launch.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Of /proc/stat, USER_HZ: the same on every Linux. */
const TICKS_PER_SECOND = 100;

export interface Machine {
  readonly date: string;
  readonly kernel: string;
  readonly cpus: number;
  readonly cpu: string;
  readonly memoryGigabytes: number;
  readonly slash32: string;
  /** Debian's containernetworking-plugins, which ptp, bridge and host-local are of. */
  readonly plugins: string;
  readonly bun: string;
}

export function describeMachine(): Machine {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const commit = printed("git", "-C", ROOT, "describe", "--always");
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    cpus: cpus().length,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    memoryGigabytes: Math.round(totalmem() / 1e9),
    slash32: commit === "" ? version : `${version} (${commit})`,
    plugins: printed(
      "dpkg-query",
      "--show",
      "--showformat",
      "$" + "{Version}",
      "containernetworking-plugins",
    ),
    bun: Bun.version,
  };
}

/** Watches how busy the machine is with things that have nothing to do with us. */
export class Load {
  readonly #begin = sample();

  /** The share of all CPUs' time that went to others since: 0.5 of two CPUs is one of them. */
  others(): number {
    const begin = this.#begin;
    const now = sample();
    const busy = now.busyMs - begin.busyMs;
    const own = now.ownMs - begin.ownMs;
    return Math.max(0, busy - own) / (now.totalMs - begin.totalMs);
  }
}

function sample(): { totalMs: number; busyMs: number; ownMs: number } {
  const [first = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = first
    .split(/\s+/)
    .slice(1)
    .map((ticks) => (Number(ticks) * 1000) / TICKS_PER_SECOND);
  const busyMs = user + nice + system + irq + softirq + steal;
  const own = process.cpuUsage();
  return {
    busyMs,
    totalMs: busyMs + idle + wait,
    ownMs: (own.user + own.system) / 1000 + childrenCpuMs(),
  };
}

/** What a command prints; nothing if it cannot. */
function printed(command: string, ...words: readonly string[]): string {
  return execaSync(command, words, { reject: false }).stdout ?? "";
}
