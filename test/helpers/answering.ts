/** A program in a pod that answers at a port, and the question from anywhere. */

import { join } from "node:path";
import type { Readable } from "node:stream";
import { execa } from "execa";
import type { TestNetns } from "./lab.ts";

const PROGRAM = join(import.meta.dirname, "../fixtures/programs/answer.ts");

/** Listens on all addresses, TCP and UDP. Disposing ends it. */
export async function answering(netns: TestNetns, port: number): Promise<AsyncDisposable> {
  const program = execa("nsenter", [`--net=${netns.path}`, "--", process.execPath, PROGRAM, `${port}`], {
    reject: false,
  });
  await said(program.stdout, "listening");
  return {
    async [Symbol.asyncDispose]() {
      program.kill("SIGKILL");
      await program;
    },
  };
}

/** Waits until a program has said it. Throws when it ends without. */
export async function said(stdout: Readable, words: string): Promise<void> {
  let text = "";
  await new Promise<void>((resolve, reject) => {
    stdout.on("data", (chunk) => {
      text += chunk;
      if (text.includes(words)) resolve();
    });
    stdout.on("end", () => reject(new Error(`Cannot wait for "${words}": it only said "${text}"`)));
  });
}

/** What is said at that place: "tcp 192.0.2.254", by the address the question came from; empty when nothing is. */
export function ask(from: TestNetns, protocol: "tcp" | "udp", address: string, port: number): string {
  const script = `exec 3<>"/dev/${protocol}/$1/$2" && echo >&3 && head -n 1 <&3`;
  return from.exec("timeout", "2", "bash", "-c", script, "ask", address, `${port}`).stdout;
}
