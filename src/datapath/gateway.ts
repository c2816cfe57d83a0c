// Whether the host would answer a sandbox's question for the gateway.
import { type Address, formatAddress, sameAddress } from "../address.ts";
import type { Namespace } from "./netns.ts";
import { decodeAddress, listAddresses } from "./rtnetlink/address.ts";
import type { Device } from "./rtnetlink/link.ts";
import { decodeRoute, lookupForward, RTN_LOCAL, RTN_UNICAST } from "./rtnetlink/route.ts";
import type { StepOf } from "./step.ts";

export interface GatewayVerdict {
  readonly answers: boolean;
  /** Why not, for people; empty when it answers. */
  readonly reason: string;
}

/** Whether a sandbox's question for the gateway would be answered: by proxy ARP, or (IPv6) by the host end itself. */
export function gatewayAnswers(
  step: Pick<StepOf<"gateway">, "gateway" | "from">,
  hostEnd: Device,
  host: Namespace,
): GatewayVerdict {
  return step.gateway.family === 4
    ? proxyArpAnswers(step, hostEnd, host)
    : hostEndAnswers(step.gateway, hostEnd, host);
}

/** The IPv6 gateway is the address that the kernel derives from the host end's MAC: nothing else need be there. */
function hostEndAnswers(gateway: Address, { name, index }: Device, host: Namespace): GatewayVerdict {
  const held = host.netlink
    .dump(listAddresses(6, index))
    .map(decodeAddress)
    .find(({ prefix }) => sameAddress(prefix.address, gateway));
  if (held === undefined)
    return { answers: false, reason: `${name} does not have ${formatAddress(gateway)}` };
  if (held.tentative) return { answers: false, reason: `${name} may not use ${formatAddress(gateway)} yet` };
  return { answers: true, reason: "" };
}

/**
 * Asks the FIB what the kernel asks itself before proxy ARP answers (net/ipv4/arp.c, arp_process): is there a
 * route to the gateway out of another interface than the one the question came in by? A host without default
 * route has none, and its sandboxes would be mute.
 */
function proxyArpAnswers(
  { gateway, from }: Pick<StepOf<"gateway">, "gateway" | "from">,
  hostEnd: Device,
  host: Namespace,
): GatewayVerdict {
  const [outcome] = host.netlink.exchange([lookupForward(gateway, from, hostEnd)]);
  const name = formatAddress(gateway);
  const [message] = outcome?.messages ?? [];
  if (outcome?.error || message === undefined) {
    return {
      answers: false,
      reason: `the host has no route to ${name} (${outcome?.error?.reason ?? "no answer"})`,
    };
  }
  const { type, oif } = decodeRoute(message);
  // The host owns the address: it answers as for any of its own.
  if (type === RTN_LOCAL) return { answers: true, reason: "" };
  if (type !== RTN_UNICAST) return { answers: false, reason: `the host's route to ${name} discards packets` };
  if (oif === hostEnd.index)
    return { answers: false, reason: `the host routes ${name} to the sandbox itself` };
  return { answers: true, reason: "" };
}
