// The question for 169.254.1.1 and its answer, caught on the wire and put into words.
import { GATEWAY_ADDRESS, HOST_MAC } from "./facts.ts";
import type { Pod } from "./lab.ts";
import type { Outcome, Shell } from "./shell.ts";
import { note, output, typed } from "./terminal.ts";

export interface Exchange {
  /** The MAC the answer names; `undefined` if there was no answer. */
  readonly answer: string | undefined;
  /** Of the command that made the pod ask. */
  readonly outcome: Outcome;
}

/** Listens on the pod's host end until its question was answered, while `command` makes the pod ask. */
export async function catchExchange(
  shell: Shell,
  pod: Pod,
  hostEnd: string,
  command: string,
): Promise<Exchange> {
  const listen = `ip netns exec ${pod.host.name} timeout 5 tcpdump -i ${hostEnd} -c 2 -e -nn -t -l --immediate-mode arp`;
  const capture = await shell.background(listen, "listening on");
  typed(command);
  const running = shell.run(command, { mayFail: true });
  let answer: string | undefined;
  for await (const line of capture.lines()) {
    output(line);
    note(inWords(line, pod, hostEnd));
    answer ??= answeredMac(line);
  }
  const outcome = await running;
  output(outcome.stdout);
  return { answer, outcome };
}

function inWords(frame: string, { name, host }: Pod, hostEnd: string): string {
  const [asker = "?"] = frame.split(" ", 1);
  if (frame.includes(`who-has ${GATEWAY_ADDRESS}`))
    return `asked by ${name} (${asker}), of everybody: who has ${GATEWAY_ADDRESS}?`;
  const mac = answeredMac(frame);
  if (mac === HOST_MAC)
    return `answered by ${host.name} at ${hostEnd}: I do, at ${mac}. It owns no such address: proxy ARP`;
  return "something else";
}

function answeredMac(frame: string): string | undefined {
  return frame.match(/Reply 169\.254\.1\.1 is-at (\S+?),/)?.[1];
}
