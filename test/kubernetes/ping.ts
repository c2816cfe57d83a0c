// A ping from pod to pod that goes on while something happens.
import type { Kubectl } from "./kubectl.ts";
import type { Pod } from "./pods.ts";

export interface Count {
  readonly sent: number;
  readonly received: number;
}

/** Ten echo requests a second until `end` is called; what was sent and what came back until then. */
export function startPing(kubectl: Kubectl, from: Pod, to: Pod): { end(): Promise<Count> } {
  // Its answers are counted even if the last one is still on its way when it ends: that one has to be waited for.
  const script = `/busybox ping -i 0.1 ${to.address} & ping=$!; read end; kill -INT $ping; wait $ping`;
  const running = kubectl.start("exec", "--stdin", from.name, "--", "/busybox", "sh", "-c", script);
  return {
    async end() {
      running.stdin.end("\n");
      const { stdout, stderr } = await running;
      const [, sent, received] = /(\d+) packets transmitted, (\d+) packets received/.exec(stdout) ?? [];
      if (sent === undefined) throw new Error(`Cannot ping from ${from.name}: ${stderr}`);
      return { sent: Number(sent), received: Number(received) };
    },
  };
}
