// Reader of the wiring: compares every step with the kernel, and changes nothing.
import {
  type Address,
  formatAddress,
  formatPrefix,
  hostPrefix,
  sameAddress,
  samePrefix,
} from "../address.ts";
import type { Sides } from "./apply.ts";
import { gatewayAnswers } from "./gateway.ts";
import { linkName, listPodRoutes } from "./host.ts";
import type { Request } from "./netlink/message.ts";
import {
  addAddress,
  decodeAddress,
  deleteAddress,
  type InterfaceAddress,
  listAddresses,
} from "./rtnetlink/address.ts";
import { type Device, decodeLink, getLink, type Link, setLink } from "./rtnetlink/link.ts";
import { decodeNeighbour, getNeighbour } from "./rtnetlink/neighbour.ts";
import {
  addRoute,
  decodeRoute,
  listRoutes,
  matchRoute,
  type Route,
  RT_TABLE_MAIN,
  RTN_LOCAL,
  RTN_UNICAST,
  RTPROT_BOOT,
  routeType,
} from "./rtnetlink/route.ts";
import { commandOf, inShell, onSide, pinned, type Side, type Step, type StepOf } from "./step.ts";
import { readSysctl } from "./sysctl.ts";

/** One thing that is not as the wiring has it. */
export interface Difference {
  readonly step: Step;
  /** What it is about: "host end cali…", "route 10.20.1.2/32 on the host". */
  readonly subject: string;
  readonly is: string;
  readonly should: string;
  /** The command that restores it, to be typed on the host as root; where none does, what a person has to see to. */
  readonly restore: string;
  /** Absent where the step's own request restores it, as ADD sends it. */
  readonly remedy?: Remedy;
}

/** What restores a difference that the step's own request would not. Without requests only a person can. */
export interface Remedy {
  readonly on: Side;
  /** In this order. Their commands, joined, are `restore`. */
  readonly requests: readonly Request[];
}

/** What a check found; without a remedy the step's own command is the one. */
interface Seen {
  readonly subject: string;
  readonly is: string;
  readonly should: string;
  readonly remedy?: Remedy;
  /** Said in the place of a command. */
  readonly advice?: string;
}

/** All differences at once, in the wiring's order; none means that the wiring is complete. */
export function verify(steps: readonly Step[], sides: Sides): Difference[] {
  const view = new View(sides);
  return steps.flatMap((step) => {
    const check = CHECKS[step.kind] as (step: Step, view: View) => Seen[];
    return check(step, view).map(({ advice, ...seen }) => ({
      step,
      ...seen,
      ...(advice === undefined ? {} : { remedy: { on: step.on, requests: [] } }),
      restore: advice ?? restoring(step, seen.remedy, sides.sandbox.path),
    }));
  });
}

function restoring(step: Step, remedy: Remedy | undefined, sandboxPath: string): string {
  if (remedy === undefined) return commandOf(step, sandboxPath);
  return onSide(remedy.on, sandboxPath, remedy.requests.map(({ command }) => command).join(" && "));
}

const CHECKS: { readonly [K in Step["kind"]]: (step: StepOf<K>, view: View) => Seen[] } = {
  veth({ hostEnd, sandboxEnd }, view) {
    const host = view.link("host", hostEnd.name);
    const sandbox = view.link("sandbox", sandboxEnd.name);
    // Each names the other's number: one number alone may be right by chance, in another namespace.
    const joined = host?.peerIndex === sandbox?.index && sandbox?.peerIndex === host?.index;
    return [
      ...end(`host end ${hostEnd.name}`, host, hostEnd, "host"),
      ...end(`sandbox end ${sandboxEnd.name}`, sandbox, sandboxEnd, "sandbox"),
      ...(host && sandbox && !joined
        ? [
            {
              subject: `cable ${hostEnd.name}`,
              is: `not joined to ${sandboxEnd.name}`,
              should: "its other end",
            },
          ]
        : []),
    ];
  },

  sysctl({ on, key, value, optional }, view) {
    const seen = readSysctl(view.sides[on], key);
    if (seen === value || (seen === undefined && optional)) return [];
    return [{ subject: `setting ${key} ${where(on)}`, is: seen ?? "missing", should: value }];
  },

  up({ on, dev }, view) {
    const link = view.link(on, dev);
    if (link?.up) return [];
    return [{ subject: `interface ${dev} ${where(on)}`, is: link ? "down" : "missing", should: "up" }];
  },

  address({ on, dev, address }, view) {
    const subject = `address ${formatPrefix(hostPrefix(address))} on ${dev}`;
    const held = view.addresses(on, address).filter(({ index }) => index === view.link(on, dev)?.index);
    const exact = held.find(({ prefix }) => samePrefix(prefix, hostPrefix(address)));
    if (exact?.tentative)
      return [{ subject, is: "tentative", should: "usable", remedy: exchanged(on, exact, dev) }];
    if (exact) return [];
    const other = held.find(({ prefix }) => sameAddress(prefix.address, address));
    if (other === undefined) return [{ subject, is: "missing", should: "present" }];
    const should = formatPrefix(hostPrefix(address));
    return [{ subject, is: formatPrefix(other.prefix), should, remedy: exchanged(on, other, dev) }];
  },

  route(step, view) {
    const { on, dev, dst, via, protocol, ifAbsent } = step;
    const subject = `route ${dst.length === 0 ? "default" : formatPrefix(dst)} ${where(on)}`;
    const mark = (number: number) => (protocol === undefined ? "" : ` proto ${number}`);
    const should = `${via ? `via ${formatAddress(via)} ` : ""}dev ${dev}${mark(protocol ?? 0)}`;
    const present = view.routes(on, dst.address, dst.length);
    const ours = present.filter((route) => isRoute(step, route, view));
    if (ours.some(({ mtu }) => mtu === step.mtu)) return [];
    const [cut] = ours;
    if (cut) return [{ subject, is: mtuWords(cut), should: mtuWords(step), remedy: inItsPlace(step, view) }];
    if (ifAbsent && present.some(({ type }) => type === RTN_UNICAST)) return [];
    const [other] = present;
    if (other === undefined) return [{ subject, is: "missing", should }];
    if (other.type === RTN_LOCAL) {
      const advice = `# take ${formatAddress(dst.address)} from the host's interface, or delete the pod`;
      return [{ subject, is: "the host's own address", should, advice }];
    }
    // Another's route is in the way: adding ours would be refused.
    return [
      {
        subject,
        is: view.describe(on, other) + mark(other.protocol),
        should,
        remedy: inItsPlace(step, view),
      },
    ];
  },

  neighbour({ on, dev, address, mac }, view) {
    const link = view.link(on, dev);
    const seen = link && view.neighbour(on, address, link);
    if (seen?.mac === mac && seen.permanent) return [];
    const is = seen ? `${seen.mac || "unresolved"}${seen.permanent ? "" : ", not permanent"}` : "missing";
    return [
      {
        subject: `neighbour ${formatAddress(address)} on ${dev} ${where(on)}`,
        is,
        should: `${mac} permanent`,
      },
    ];
  },

  gateway(step, view) {
    const hostEnd = view.link("host", step.hostEnd);
    if (hostEnd === undefined) return [];
    const verdict = gatewayAnswers(step, hostEnd, view.sides.host);
    if (CHECKS.neighbour(pinned(step), view).length === 0 || verdict.answers) return [];
    const subject = `gateway ${formatAddress(step.gateway)}`;
    return [
      { subject, is: `mute: ${verdict.reason}`, should: "answered by the host, or a pinned neighbour" },
    ];
  },
};

/** Lazily asks the kernel, and asks nothing twice. */
class View {
  readonly sides: Sides;
  readonly #answers = new Map<string, unknown>();

  constructor(sides: Sides) {
    this.sides = sides;
  }

  link(on: Side, name: string): Link | undefined {
    return this.#once(`link ${on} ${name}`, () => this.#find(on, getLink(name), ["ENODEV"], decodeLink));
  }

  addresses(on: Side, { family }: Address) {
    return this.#once(`addresses ${on} ${family}`, () => {
      return this.sides[on].netlink.dump(listAddresses(family)).map(decodeAddress);
    });
  }

  /** Routes to exactly this destination: of the main table, or that by which it is the namespace's own address. */
  routes(on: Side, address: Address, length: number): Route[] {
    const isAsked = ({ dst, table, type }: Route) =>
      samePrefix(dst, { address, length }) && (table === RT_TABLE_MAIN || type === RTN_LOCAL);
    if (on === "sandbox") return this.#routes(on, address).filter(isAsked);
    // A host has as many routes as pods: the FIB is asked for the one.
    const found = this.#matching(address).filter(isAsked);
    if (found.length > 0) return found;
    // A rule may have another table decide, for what the host itself sends or for all: ours can be there nevertheless.
    return this.#once("pod routes", () => listPodRoutes(this.sides.host)).filter(isAsked);
  }

  neighbour(on: Side, address: Address, dev: Device) {
    const request = getNeighbour(address, dev);
    return this.#once(`${on} ${request.command}`, () => this.#find(on, request, ["ENOENT"], decodeNeighbour));
  }

  describe(on: Side, { via, oif, type }: Route): string {
    if (type !== RTN_UNICAST) return routeType(type);
    return `${via ? `via ${formatAddress(via)} ` : ""}dev ${oif === undefined ? "none" : linkName(this.sides[on], oif)}`;
  }

  #matching(address: Address): Route[] {
    return this.#once(`match ${formatAddress(address)}`, () => {
      const [outcome] = this.sides.host.netlink.exchange([matchRoute(address)]);
      const { error, messages = [] } = outcome ?? {};
      if (error === undefined) return messages.map(decodeRoute);
      if (error.code === "ENETUNREACH") return [];
      // A route that discards what it matches is not named by the FIB: it is looked for among all.
      if (DISCARDED.includes(error.code)) return this.#routes("host", address);
      throw error;
    });
  }

  #routes(on: Side, { family }: Address): Route[] {
    return this.#once(`routes ${on} ${family}`, () =>
      this.sides[on].netlink.dump(listRoutes(family)).map(decodeRoute),
    );
  }

  /** The object a GET names, or `undefined` where the kernel says there is none. */
  #find<T>(on: Side, request: Request, absent: string[], decode: (message: never) => T): T | undefined {
    const [outcome] = this.sides[on].netlink.exchange([request]);
    if (outcome?.error && !absent.includes(outcome.error.code)) throw outcome.error;
    const [message] = outcome?.messages ?? [];
    return message && decode(message as never);
  }

  #once<T>(question: string, ask: () => T): T {
    if (!this.#answers.has(question)) this.#answers.set(question, ask());
    return this.#answers.get(question) as T;
  }
}

/** What the FIB says of unreachable, blackhole and prohibit. */
const DISCARDED = ["EHOSTUNREACH", "EINVAL", "EACCES"];

/** IPv6 has an address once, whatever its length; IPv4 drops all routes with an interface's last address. */
function exchanged(on: Side, { prefix, index }: InterfaceAddress, name: string): Remedy {
  const dev = inShell({ name, index });
  const [add, remove] = [addAddress(hostPrefix(prefix.address), dev), deleteAddress(prefix, dev)];
  return { on, requests: prefix.address.family === 6 ? [remove, add] : [add, remove] };
}

function isRoute(step: StepOf<"route">, route: Route, view: View): boolean {
  const sameGateway = step.via
    ? route.via !== undefined && sameAddress(route.via, step.via)
    : route.via === undefined;
  const ours = step.protocol ?? RTPROT_BOOT;
  if (route.type !== RTN_UNICAST) return false;
  return sameGateway && route.oif === view.link(step.on, step.dev)?.index && route.protocol === ours;
}

function mtuWords({ mtu }: { readonly mtu?: number | undefined }): string {
  return mtu === undefined ? "without mtu" : `mtu ${mtu}`;
}

function inItsPlace(step: StepOf<"route">, view: View): Remedy {
  const dev = inShell({ name: step.dev, index: view.link(step.on, step.dev)?.index ?? 0 });
  return { on: step.on, requests: [addRoute({ ...step, dev, replace: true })] };
}

/** Both ends of a cable are compared alike. One that is missing cannot be made by itself. */
function end(
  subject: string,
  link: Link | undefined,
  should: { name: string; mac: string; mtu: number },
  on: Side,
): Seen[] {
  if (link === undefined) return [{ subject, is: "missing", should: `MAC ${should.mac}, MTU ${should.mtu}` }];
  const remedy = (change: { mac?: string; mtu?: number }) => {
    return { on, requests: [setLink(inShell({ name: should.name, index: link.index }), change)] };
  };
  const seen: Seen[] = [];
  if (link.mac !== should.mac) {
    const { mac } = should;
    seen.push({ subject, is: `MAC ${link.mac}`, should: `MAC ${mac}`, remedy: remedy({ mac }) });
  }
  if (link.mtu !== should.mtu) {
    const { mtu } = should;
    seen.push({ subject, is: `MTU ${link.mtu}`, should: `MTU ${mtu}`, remedy: remedy({ mtu }) });
  }
  return seen;
}

function where(on: Side): string {
  return on === "host" ? "on the host" : "in the sandbox";
}
