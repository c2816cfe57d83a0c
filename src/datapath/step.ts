// A step of the wiring: one thing that must be true in the kernel, and how a person would make it so.
import { type Address, hostPrefix, type Prefix } from "../address.ts";
import { word } from "../shell.ts";
import type { Request } from "./netlink/message.ts";
import { addAddress } from "./rtnetlink/address.ts";
import { addVeth, type Device, setLinkUp, type VethEnd } from "./rtnetlink/link.ts";
import { replaceNeighbour } from "./rtnetlink/neighbour.ts";
import { addRoute } from "./rtnetlink/route.ts";
import { sysctlPath } from "./sysctl.ts";

/** Which namespace a step belongs to. */
export type Side = "host" | "sandbox";

export type Step =
  | { readonly kind: "veth"; readonly on: "host"; readonly hostEnd: VethEnd; readonly sandboxEnd: VethEnd }
  | {
      readonly kind: "sysctl";
      readonly on: Side;
      /** With slashes: "net/ipv4/ip_forward". */
      readonly key: string;
      readonly value: string;
      /** A kernel without this key is no error. */
      readonly optional?: boolean;
    }
  | { readonly kind: "up"; readonly on: Side; readonly dev: string; readonly alias?: string }
  | { readonly kind: "address"; readonly on: Side; readonly dev: string; readonly address: Address }
  | {
      readonly kind: "route";
      readonly on: Side;
      readonly dev: string;
      readonly dst: Prefix;
      readonly via?: Address;
      readonly protocol?: number;
      readonly mtu?: number;
      readonly metric?: number;
      /** Beside another interface's route to the same place. */
      readonly append?: boolean;
      /** Another interface's route to the same place is left alone and is no error. */
      readonly ifAbsent?: boolean;
    }
  | {
      readonly kind: "neighbour";
      readonly on: Side;
      readonly dev: string;
      readonly address: Address;
      readonly mac: string;
    }
  | {
      /** The gateway answers: by proxy ARP if the host would, else by a pinned neighbour (if `pin`). */
      readonly kind: "gateway";
      readonly on: "sandbox";
      readonly dev: string;
      readonly gateway: Address;
      readonly mac: string;
      readonly from: Address;
      readonly hostEnd: string;
      readonly pin: boolean;
    };

export type StepOf<K extends Step["kind"]> = Extract<Step, { kind: K }>;

/** The steps that are one message to the kernel each, and may travel together. */
export type MessageStep = StepOf<"up" | "address" | "route" | "neighbour">;

/** The message that makes a step true, once its interface has a number. */
export function requestOf(step: MessageStep, dev: Device): Request {
  switch (step.kind) {
    case "up":
      return setLinkUp(dev, step);
    case "address":
      return addAddress(hostPrefix(step.address), dev);
    case "route":
      return addRoute({ ...step, dev });
    case "neighbour":
      return replaceNeighbour(step.address, step.mac, dev);
  }
}

/** The message that makes the cable; its sandbox end is born in the namespace behind `netns`. */
export function vethRequest(
  { hostEnd, sandboxEnd }: StepOf<"veth">,
  netns: { fd: number; path: string },
): Request {
  return addVeth(hostEnd, { ...sandboxEnd, netns });
}

/** The neighbour that stands in for an answer the host would not give. */
export function pinned({ on, dev, gateway, mac }: StepOf<"gateway">): StepOf<"neighbour"> {
  return { kind: "neighbour", on, dev, address: gateway, mac };
}

/** A step as a person would type it in a root shell on the host; `sandboxPath` is the sandbox's namespace. */
export function commandOf(step: Step, sandboxPath: string): string {
  return onSide(step.on, sandboxPath, bareCommand(step, sandboxPath));
}

/** The same, for a command of one's own. */
export function onSide(side: Side, sandboxPath: string, command: string): string {
  if (side === "host") return command;
  const isPlain = !/[>|;&]/.test(command);
  return `nsenter --net=${word(sandboxPath)} ${isPlain ? command : `sh -c ${word(command)}`}`;
}

function bareCommand(step: Step, sandboxPath: string): string {
  switch (step.kind) {
    case "veth": {
      const { hostEnd, sandboxEnd } = step;
      const named = { ...step, hostEnd: inShell(hostEnd), sandboxEnd: inShell(sandboxEnd) };
      return vethRequest(named, { fd: -1, path: word(sandboxPath) }).command;
    }
    case "sysctl": {
      const path = word(sysctlPath(step.key));
      return `${step.optional ? `[ ! -e ${path} ] || ` : ""}echo ${step.value} > ${path}`;
    }
    case "gateway":
      // Pinning is right on any host; whether it is needed is what ADD asks the FIB.
      return bareCommand(pinned(step), sandboxPath);
    default:
      return requestOf(step, inShell({ name: step.dev, index: 0 })).command;
  }
}

/** For the text of a command: an interface's name may be anything but white space, slashes and colons: to a shell, anything at all. */
export function inShell<T extends { readonly name: string }>(named: T): T {
  return { ...named, name: word(named.name) };
}
