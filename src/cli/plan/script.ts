// A plan as a shell script, and as values for programs.
import { formatAddress, formatPrefix } from "../../address.ts";
import { attachmentKey } from "../../attachment.ts";
import { deleteLink } from "../../datapath/rtnetlink/link.ts";
import { lookupForward } from "../../datapath/rtnetlink/route.ts";
import { commandOf, type Step, type StepOf } from "../../datapath/step.ts";
import type { Paint } from "../paint.ts";
import type { Plan } from "./intent.ts";
import { why } from "./why.ts";

/** One step as it is told: on which side, what kind, why, and how a person does it. */
export interface ToldStep {
  readonly on: string;
  readonly kind: string;
  readonly why: string;
  /** For a POSIX shell; leaves what ADD would leave, also where ADD asks the kernel first. */
  readonly command: string;
}

/** With the values of each step beside; addresses and prefixes as text. */
export function toldSteps({ leftover, steps, doubtful, netns }: Plan): ToldStep[] {
  const first =
    leftover === undefined
      ? []
      : [{ on: "host", kind: "delete", why: HALF_MADE, command: deleteLink(leftover).command }];
  return [
    ...first,
    ...steps.map((step) => ({
      ...(readable(step) as Step),
      why: why(step),
      command: commandIn(step, doubtful.has(step), netns),
    })),
  ];
}

const HALF_MADE = "An earlier ADD left it half made, or it was changed since: it is made anew";

/** To be pasted into a root shell on the host, or piped into one. */
export function scriptOf(plan: Plan, paint: Paint): string {
  const comment = (text: string) => paint("dim", `# ${oneLine(text)}`);
  const head = [
    "#!/bin/sh",
    comment(`What ADD would do for ${attachmentKey(plan.attachment)} in ${plan.netns}.`),
    comment(`Address: ${plan.lease}. Typed by hand it is not leased, but while its`),
    comment("route is there no ADD gives it to anybody else."),
    "set -eu",
  ];
  const steps = toldSteps(plan);
  if (steps.length === 0)
    return `${[...head, "", comment("Nothing: it is all there already.")].join("\n")}\n`;
  let told = "";
  const body = steps.flatMap(({ why, command }) => {
    const lines = why === told ? [command] : ["", comment(why), command];
    told = why;
    return lines;
  });
  return `${[...head, ...body].join("\n")}\n`;
}

function commandIn(step: Step, isDoubtful: boolean, netns: string): string {
  const command = commandOf(step, netns);
  if (step.kind === "gateway") return unlessAnswered(step, step.pin ? command : REFUSAL);
  // Only what the kernel says of an existing route is no error.
  if (isDoubtful)
    return `said=$(${command} 2>&1) || case $said in *"File exists"*) ;; *) echo "$said" >&2; exit 1 ;; esac`;
  return command;
}

const REFUSAL = `{ echo "The host would not answer for the gateway: give it a default route" >&2; exit 1; }`;

/** As ADD asks. IPv4: would proxy ARP answer? The FIB delivers the gateway here, or out of another interface. */
function unlessAnswered({ gateway, from, hostEnd }: StepOf<"gateway">, otherwise: string): string {
  const name = formatAddress(gateway);
  if (gateway.family === 6) {
    // The host end itself does, once its address is usable: a work queue of the kernel sees to that.
    const usable = `ip -6 address show dev ${hostEnd} -tentative | grep -q ' ${name}/'`;
    return `i=0; until ${usable}; do i=$((i + 1)); [ $i -lt 6 ] || { ${otherwise}; break; }; sleep 0.1; done`;
  }
  const question = lookupForward(gateway, from, { name: hostEnd, index: 0 }).command;
  const pattern = `^(local )?${name.replaceAll(".", "\\.")} .*dev `;
  return `${question} 2>/dev/null | grep -v ' dev ${hostEnd} ' | grep -Eq '${pattern}' || ${otherwise}`;
}

/** Addresses are numbers inside; JSON has no such numbers, and people no such eyes. */
function readable(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ("family" in value && "value" in value) return formatAddress(value as never);
  if ("address" in value && "length" in value) return formatPrefix(value as never);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, readable(inner)]));
}

/** What a runtime says may hold anything; a comment must not end before its line. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
