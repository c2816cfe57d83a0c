// A ping from pod to pod that goes on while something happens.
import type { Kubectl } from "./kubectl.ts";
import type { Pod } from "./pods.ts";

export interface Count {
  readonly sent: number;
  readonly lost: number;
}

/** Ten echo requests a second until `end` is called; how many were sent and how many of them lost until then. */
export function startPing(kubectl: Kubectl, from: Pod, to: Pod): { end(): Promise<Count> } {
  const script = `/busybox ping -i 0.1 ${to.address} & ping=$!; read end; kill -INT $ping; wait $ping`;
  const running = kubectl.start("exec", "--stdin", from.name, "--", "/busybox", "sh", "-c", script);
  return {
    async end() {
      running.stdin.end("\n");
      const { stdout, stderr } = await running;
      const [, sent] = /(\d+) packets transmitted/.exec(stdout) ?? [];
      if (sent === undefined) throw new Error(`Cannot ping from ${from.name}: ${stderr}`);
      return { sent: Number(sent), lost: lost(Number(sent), stdout) };
    },
  };
}

/** Those that nothing came back for, but for the last one: that may still have been on its way. */
function lost(sent: number, printed: string): number {
  const sequences = Array.from(printed.matchAll(/ seq=(\d+) /g), ([, sequence]) => Number(sequence));
  const answered = new Set(sequences.filter((sequence) => sequence < sent - 1));
  return sent - 1 - answered.size;
}
