// Reader of the wiring: makes every step true, or none.

import { formatAddress } from "../address.ts";
import type { Attachment } from "../attachment.ts";
import { sleep } from "../libc.ts";
import { timed } from "../trace.ts";
import { HOST_MAC, isAliasOf } from "./endpoint.ts";
import { gatewayAnswers } from "./gateway.ts";
import { isOwnAddress, linkName, listHostEnds } from "./host.ts";
import type { NetlinkError } from "./netlink/error.ts";
import { NetlinkError as Refusal } from "./netlink/error.ts";
import type { Request } from "./netlink/message.ts";
import type { Namespace } from "./netns.ts";
import {
  type Device,
  decodeLink,
  deleteLink,
  deleteLinkByIndex,
  getLink,
  type Link,
} from "./rtnetlink/link.ts";
import { decodeRoute, matchRoute } from "./rtnetlink/route.ts";
import {
  type MessageStep,
  pinned,
  requestOf,
  type Side,
  type Step,
  type StepOf,
  vethRequest,
} from "./step.ts";
import { readSysctl, SysctlError, writeSysctl } from "./sysctl.ts";

/** How long IPv6 may take to become usable before the gateway counts as mute. */
const SETTLING_MS = 500;

/** The two namespaces a wiring spans. */
export type Sides = Readonly<Record<Side, Namespace>>;

/**
 * Carries out the steps in order. Throws the first refusal (NetlinkError, SysctlError) after taking back what
 * was done: no link, address, route or neighbour remains. Not idempotent: a host end that exists is EEXIST.
 * Returns the steps that another interface had made needless (`ifAbsent`).
 */
export function apply(steps: readonly Step[], sides: Sides): Step[] {
  using undo = new DisposableStack();
  const devices = new Devices();
  const skipped: Step[] = [];
  const carryOut = ([step, ...more]: [Step, ...Step[]]) => {
    if (step.kind === "veth") {
      devices.learn(step, addCable(step, sides, undo));
    } else if (step.kind === "sysctl") {
      setSysctl(step, sides);
    } else if (step.kind === "gateway") {
      answerGateway(step, sides, devices.get("host", step.hostEnd), devices.get(step.on, step.dev));
    } else {
      skipped.push(...send([step, ...(more as MessageStep[])], sides[step.on], devices));
    }
  };
  for (const batch of batches(steps)) timed(nameOf(batch), () => carryOut(batch));
  for (const step of steps) if (step.kind === "veth") confirm(step, sides);
  undo.move(); // done: nothing is left to take back
  return skipped;
}

/**
 * Takes a wiring back: its host end, and with it everything else. Returns false when there was none, which is
 * no error. The sandbox need not exist. Waits for the kernel, some 20 ms (RCU).
 */
export function remove(hostEnd: string, host: Namespace): boolean {
  return isDeleted(deleteLink(hostEnd), host);
}

/** `remove`, also where others have renamed the host end: its alias tells whose it is. Looked for only then. */
export function removeEndOf(attachment: Attachment, hostEnd: string, host: Namespace): void {
  if (remove(hostEnd, host)) return;
  for (const name of findEndsOf(attachment, host)) remove(name, host);
}

/** The attachment's host end under whatever name it has by now; there may be none. */
export function findEndsOf(attachment: Attachment, host: Namespace): string[] {
  return listHostEnds(host, attachment.network)
    .filter(({ alias }) => isAliasOf(attachment, alias))
    .map(({ name }) => name);
}

function isDeleted(request: Request, host: Namespace): boolean {
  const [outcome] = timed("link delete", () => host.netlink.exchange([request]));
  if (outcome?.error === undefined) return true;
  if (outcome.error.code === "ENODEV") return false;
  throw outcome.error;
}

/** Interfaces by side and name; the numbers are known once the cable is made. */
class Devices {
  readonly #known = new Map<string, Device>([
    ["host lo", { name: "lo", index: 1 }],
    // LOOPBACK_IFINDEX (include/net/flow.h): the same in every namespace.
    ["sandbox lo", { name: "lo", index: 1 }],
  ]);

  learn({ hostEnd, sandboxEnd }: StepOf<"veth">, link: Link): void {
    this.#known.set(`host ${hostEnd.name}`, link);
    this.#known.set(`sandbox ${sandboxEnd.name}`, { name: sandboxEnd.name, index: link.peerIndex ?? 0 });
  }

  get(on: Side, name: string): Device {
    const device = this.#known.get(`${on} ${name}`);
    if (device === undefined) throw new Error(`Cannot use ${name}: the wiring names it before it is made`);
    return device;
  }
}

function addCable(step: StepOf<"veth">, { host, sandbox }: Sides, undo: DisposableStack): Link {
  // An answer that is lost does not say what was done: taking back is provided for before.
  let takeBack: Request | undefined = deleteLink(step.hostEnd.name);
  undo.defer(() => takeBack && isDeleted(takeBack, host));
  // One exchange: the number of either end is read back with the cable's own acknowledgement.
  const [made, read] = host.netlink.exchange([vethRequest(step, sandbox), getLink(step.hostEnd.name)]);
  if (made?.error) {
    takeBack = undefined;
    throw made.error;
  }
  const [message] = read?.messages ?? [];
  if (message === undefined)
    throw read?.error ?? new Error(`Cannot read back ${step.hostEnd.name}: no answer`);
  const link = decodeLink(message);
  takeBack = deleteLinkByIndex(link.index); // others may rename it meanwhile
  return link;
}

/** For the log: "veth", "sysctl proxy_arp", "sandbox up address route". */
function nameOf([step, ...more]: [Step, ...Step[]]): string {
  if (step.kind === "sysctl") return `sysctl ${step.key}`;
  const kinds = [step, ...more].map(({ kind }) => kind);
  return `${step.on} ${[...new Set(kinds)].join(" ")}`;
}

/** Sysctls and cable travel alone; runs of other steps on one side share a datagram. */
function batches(steps: readonly Step[]): [Step, ...Step[]][] {
  const all: [Step, ...Step[]][] = [];
  for (const step of steps) {
    const batch = all[all.length - 1];
    const goesAlong = batch && batch[0].on === step.on && isMessage(batch[0]) && isMessage(step);
    if (goesAlong) batch.push(step);
    else all.push([step]);
  }
  return all;
}

function isMessage(step: Step): step is MessageStep {
  return step.kind !== "veth" && step.kind !== "sysctl" && step.kind !== "gateway";
}

function send(batch: readonly MessageStep[], namespace: Namespace, devices: Devices): Step[] {
  const requests = batch.map((step) => requestOf(step, devices.get(step.on, step.dev)));
  const skipped: Step[] = [];
  for (const [at, { error }] of namespace.netlink.exchange(requests).entries()) {
    const step = batch[at] as MessageStep;
    if (error === undefined) continue;
    if (step.kind !== "route" || error.code !== "EEXIST") throw error;
    if (!step.ifAbsent) throw routedElsewhere(step, error, namespace);
    skipped.push(step);
  }
  return skipped;
}

/** "File exists" says too little: somebody else's route is what an operator has to find. */
function routedElsewhere(step: StepOf<"route">, error: NetlinkError, namespace: Namespace): NetlinkError {
  const [match] = namespace.netlink.exchange([matchRoute(step.dst.address)]);
  const [message] = match?.messages ?? [];
  const oif = message && decodeRoute(message).oif;
  const reason =
    oif === undefined
      ? error.reason
      : `${error.reason}: it is routed through ${linkName(namespace, oif)} already`;
  return new Refusal(error.request, error.code, reason, { cause: error });
}

/**
 * IPv6 that is told to forward once more switches all interfaces on, and forgets the routers that advertised themselves
 * (net/ipv6/addrconf.c, addrconf_fixup_forwarding): of each pod the whole host would notice.
 */
const HEARD_EVERY_TIME = /^net\/ipv6\/conf\/[^/]+\/forwarding$/;

/** Throws a SysctlError; that the kernel lacks what is optional is none. */
export function setSysctl(step: StepOf<"sysctl">, sides: Sides): void {
  if (HEARD_EVERY_TIME.test(step.key) && readSysctl(sides[step.on], step.key) === step.value) return;
  try {
    writeSysctl(sides[step.on], step.key, step.value);
  } catch (error) {
    if (!(step.optional && error instanceof SysctlError && error.code === "ENOENT")) throw error;
  }
}

/**
 * Sees to it that the sandbox gets a MAC for its gateway. Returns whether it had to be pinned; throws a NetlinkError
 * where it may not be, or cannot.
 */
export function answerGateway(step: StepOf<"gateway">, sides: Sides, hostEnd: Device, dev: Device): boolean {
  const verdict = settled(
    () => gatewayAnswers(step, hostEnd, sides.host),
    ({ answers }) => answers && isOwnAddress(sides.sandbox, step.from),
    step.gateway.family === 4 ? 0 : SETTLING_MS,
  );
  if (verdict.answers) return false;
  if (!step.pin)
    throw new Refusal(
      `answer for the gateway ${formatAddress(step.gateway)}`,
      "EHOSTUNREACH",
      verdict.reason,
    );
  sides.sandbox.netlink.execute(requestOf(pinned(step), dev));
  return true;
}

/**
 * Asks until the answer is good, or for `patienceMs`. An IPv6 address, even one without duplicate-address detection,
 * is usable only when a work queue of the kernel has dealt with it: mostly before we ask, under load 10 ms later.
 * A question that comes too early is not answered, and asked again after a second.
 */
function settled<T>(ask: () => T, isGood: (answer: T) => boolean, patienceMs: number): T {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const answer = ask();
    if (patienceMs === 0 || isGood(answer) || performance.now() >= deadline) return answer;
    sleep(1);
  }
}

/** Other software on the host may have changed the new link meanwhile (udev, NetworkManager). */
function confirm({ hostEnd }: StepOf<"veth">, { host }: Sides): void {
  const [message] = host.netlink.execute(getLink(hostEnd.name));
  const link = message && decodeLink(message);
  if (link?.mac === HOST_MAC && link.up) return;
  const seen = link ? `it has ${link.mac} and is ${link.up ? "up" : "down"}` : "it is gone";
  throw new Refusal(
    `keep ${hostEnd.name} up with MAC ${HOST_MAC}`,
    "EBUSY",
    `${seen}: other software changed it`,
  );
}
