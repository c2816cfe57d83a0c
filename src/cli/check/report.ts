// What check says: to people a line for each attachment and its differences, to programs one object.
import { formatAddress } from "../../address.ts";
import { attachmentKey } from "../../attachment.ts";
import type { Paint } from "../paint.ts";
import { podName } from "../pods.ts";
import type { Look, Seen } from "./look.ts";

const MARKS = {
  fine: ["green", "✓"],
  differs: ["red", "✗"],
  busy: ["cyan", "…"],
  closed: ["cyan", "?"],
} as const;

export function forPeople(looks: readonly Look[], paint: Paint): string {
  if (looks.length === 0) return "no attachments\n";
  const lines = looks.flatMap((look) => [headline(look, paint), ...body(look, paint)]);
  return `${[...lines, "", summary(looks)].join("\n")}\n`;
}

export function forPrograms(looks: readonly Look[]): string {
  const attachments = looks.map(({ pod, state, reason, sandbox, differences, mended }) => ({
    ...(pod.attachment ? { attachment: attachmentKey(pod.attachment) } : {}),
    ...(pod.label === undefined ? {} : { pod: pod.label }),
    addresses: pod.addresses.map(formatAddress),
    hostEnd: pod.hostEnd,
    ...(sandbox === undefined ? {} : { sandbox }),
    state,
    ...(reason === undefined ? {} : { reason }),
    differences,
    mended,
  }));
  return `${JSON.stringify({ attachments }, undefined, 2)}\n`;
}

function headline({ pod, state, reason, differences, mended }: Look, paint: Paint): string {
  const words = {
    fine: mended.length > 0 ? "is as ADD left it again" : "is as ADD left it",
    differs: `differs from what ADD made (${differences.length})`,
    busy: reason,
    closed: `cannot be looked into: ${reason}`,
  }[state];
  const [colour, sign] = MARKS[state];
  const addresses = pod.addresses.map(formatAddress).join(" ");
  const whom = [paint("bold", podName(pod)), addresses, pod.hostEnd].filter(Boolean).join("  ");
  return `${paint(colour, sign)} ${whom}  ${words}`;
}

function body({ differences, mended }: Look, paint: Paint): string[] {
  const done = mended.flatMap(({ subject, is, should, command }) => [
    `  ${paint("green", "✓")} ${subject} was ${is}, is ${should} now`,
    ...(command === undefined ? [] : [`    ${paint("dim", command)}`]),
  ]);
  return [...done, ...differences.flatMap((seen) => left(seen, paint))];
}

function left({ subject, is, should, restore, refusal }: Seen, paint: Paint): string[] {
  const remedy = restore.startsWith("# ")
    ? restore.slice(2)
    : `${paint("dim", "$")} ${paint("bold", restore)}`;
  return [
    `  ${paint("red", "✗")} ${paint("red", `${subject} is ${is}, should be ${should}`)}`,
    ...(refusal === undefined || restore.startsWith("# ") ? [] : [`    not mended: ${refusal}`]),
    `    ${remedy}`,
  ];
}

function summary(looks: readonly Look[]): string {
  const count = (test: (look: Look) => boolean) => looks.filter(test).length;
  const mended = count(({ state, mended }) => state === "fine" && mended.length > 0);
  const parts = [
    `${count(({ state }) => state === "fine")} of ${looks.length} as ADD left ${looks.length === 1 ? "it" : "them"}`,
    mended > 0 ? `${mended} mended` : "",
    wordsFor(
      count(({ state }) => state === "busy"),
      "in work",
    ),
    wordsFor(
      count(({ state }) => state === "closed"),
      "not to be looked into",
    ),
  ];
  const hint = looks.some(({ differences, mended }) => mended.length === 0 && differences.some(isMendable));
  return `${parts.filter(Boolean).join(", ")}${hint ? "; --repair mends what has a command" : ""}`;
}

function wordsFor(count: number, words: string): string {
  return count === 0 ? "" : `${count} ${words}`;
}

function isMendable({ restore, refusal }: Seen): boolean {
  return refusal === undefined && !/^(# |slash32 )/.test(restore);
}
