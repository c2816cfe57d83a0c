// Why each step of the wiring is there, in a line.
import type { Step } from "../../datapath/step.ts";

/** One sentence; steps that serve one purpose have the same. */
export function why(step: Step): string {
  if (step.kind === "sysctl")
    return whySysctl(step.on, step.key.slice(step.key.lastIndexOf("/") + 1), step.value);
  return REASONS[step.kind](step as never);
}

const REASONS: { readonly [K in Exclude<Step["kind"], "sysctl">]: (step: Step & { kind: K }) => string } = {
  veth: () => "A cable from the host into the sandbox; both ends are made where they belong",
  up: ({ on }) =>
    on === "host"
      ? "The host end holds no address; its alias tells whose it is"
      : "The sandbox's interfaces go up",
  address: () => "One address, and nobody else in its network: all traffic is routed",
  route: ({ on, via }) => {
    if (on === "host") return "The way back: one route, marked as ours by its protocol";
    return via
      ? "The way out: through the gateway"
      : "The gateway is reached by the cable, though no interface owns it";
  },
  neighbour: ({ on }) =>
    on === "host" ? "The sandbox's MAC is known: nobody need ask for it" : "The gateway's MAC is pinned",
  gateway: () =>
    "Who answers for the gateway? The host by proxy ARP, if it has a way there; else its MAC is pinned",
};

function whySysctl(on: Step["on"], name: string, value: string): string {
  if (name.endsWith("forward") || name === "forwarding") {
    if (on === "host") return "The host passes packets on";
    return value === "0" ? "The sandbox passes nothing on" : "The sandbox may pass packets on, as configured";
  }
  if (name === "accept_dad" && on === "sandbox")
    return "Its IPv6 addresses are usable at once: nobody else can have them";
  return SETTINGS[name] ?? "A setting the wiring needs";
}

const SETTINGS: Readonly<Record<string, string>> = {
  proxy_arp: "The host answers for the gateway, at once and not after a random delay",
  proxy_delay: "The host answers for the gateway, at once and not after a random delay",
  route_localnet: "A port of the host may lead here from 127.0.0.1",
  addr_gen_mode: "The gateway's link-local address follows from the host end's MAC, and is usable at once",
  accept_dad: "The gateway's link-local address follows from the host end's MAC, and is usable at once",
  disable_ipv6: "IPv6 is on, whatever the default is: an address of it is given",
  proxy_ndp: "The host answers for neighbours in the sandbox's name",
  accept_ra: "No sandbox can pose as a router to the host",
};
