/** A process that lives in a namespace and keeps it alive. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { TestNetns } from "./lab.ts";

/** Disposing ends the process. */
export class Occupant implements Disposable {
  readonly #process: ChildProcess;
  readonly pid: number;

  private constructor(process: ChildProcess, pid: number) {
    this.#process = process;
    this.pid = pid;
  }

  /** Answers when the process is inside. */
  static async of(netns: TestNetns): Promise<Occupant> {
    const command = [`--net=${netns.path}`, "--", "sh", "-c", "echo inside; exec sleep 60"];
    const process = spawn("nsenter", command, { stdio: ["ignore", "pipe", "inherit"] });
    await once(process.stdout, "data");
    return new Occupant(process, process.pid as number);
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
