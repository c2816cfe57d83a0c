// The ways out of the host, and who answers for the pods' gateway.
import { contains, type Family, formatAddress, formatPrefix, sameAddress } from "../../address.ts";
import { GATEWAY } from "../../datapath/endpoint.ts";
import { decodeAddress, listAddresses } from "../../datapath/rtnetlink/address.ts";
import { decodeNeighbour, getNeighbour } from "../../datapath/rtnetlink/neighbour.ts";
import {
  decodeRoute,
  matchRoute,
  type Route,
  RTN_LOCAL,
  RTN_UNICAST,
} from "../../datapath/rtnetlink/route.ts";
import type { Node } from "../node/node.ts";
import { type Check, counted, error, type Finding, fine, found, warning } from "./check.ts";
import { hasIpv6, waysOut } from "./settings.ts";

const NAME = formatAddress(GATEWAY[4]);

const defaultRoute: Check = {
  title: "the host knows a way to everywhere",
  run(node) {
    const families = ([4, 6] as const).filter((family) => node.wants(family) && isSpoken(node, family));
    const findings = families.flatMap((family): Finding[] => {
      if (node.defaultRoutes(family).length > 0) return [];
      const command = family === 4 ? "ip route" : "ip -6 route";
      const type = `${command} add default via <router> dev <interface>`;
      const why = "Pods reach what the host has routes to, and nothing else.";
      return [warning(`the host has no IPv${family} default route`, why, type)];
    });
    const ways = families.flatMap((family) => waysOut(node, family).map(({ name }) => name));
    return found(findings, ways.length > 0 ? `by ${[...new Set(ways)].join(", ")}` : "nobody asks for one");
  },
};

const gatewayAnswered: Check = {
  title: `somebody answers for ${NAME}`,
  run(node) {
    if (!node.wants(4)) return fine("no IPv4");
    return found(gatewayTrouble(node), answerer(node));
  },
};

const gatewayOwner: Check = {
  title: `nobody else owns ${NAME}`,
  run(node) {
    const owners = node.host.netlink
      .dump(listAddresses(4))
      .map(decodeAddress)
      .filter(({ prefix }) => sameAddress(prefix.address, GATEWAY[4]))
      .flatMap(({ index }) => node.link(index) ?? []);
    const findings = owners
      .filter(({ name }) => name !== "lo")
      .map(({ name }) => {
        const why =
          "Pods talk to the host where they mean their gateway; and in that network two have one address.";
        return warning(`${name} has the address ${NAME}`, why, `ip address delete ${NAME} dev ${name}`);
      });
    const ends = new Set(node.hostEnds().map(({ index }) => index));
    const seenOutside = node
      .links()
      .filter((link) => link.up && link.name !== "lo" && !ends.has(link.index))
      .flatMap((link) => {
        const [outcome] = node.host.netlink.exchange([getNeighbour(GATEWAY[4], link)]);
        const [message] = outcome?.messages ?? [];
        const mac = message && decodeNeighbour(message).mac;
        return mac ? [{ link, mac }] : [];
      });
    for (const { link, mac } of seenOutside) {
      const why = `Pods cannot reach it: for them ${NAME} is their gateway.`;
      const type = `ip neigh show ${NAME} # find ${mac}, and give it another address`;
      findings.push(warning(`a machine behind ${link.name} owns ${NAME} (${mac})`, why, type));
    }
    return found(findings, `looked at ${counted(node.links().length - ends.size, "interface")}`);
  },
};

export const WAYS: readonly Check[] = [defaultRoute, gatewayAnswered, gatewayOwner];

function isSpoken(node: Node, family: Family): boolean {
  return family === 4 || hasIpv6(node);
}

/** What keeps the host from answering any pod for its gateway. */
export function gatewayTrouble(node: Node): Finding[] {
  const why = "The kernel answers for the gateway only if it has a way there: pods stay mute.";
  const blackhole = discarding(node);
  if (blackhole) {
    const seen = `the host discards packets to ${NAME} (route ${blackhole})`;
    return [error(seen, why, `ip route delete ${blackhole}`)];
  }
  const route = gatewayRoute(node);
  if (route === undefined) return withoutRoute(node);
  const pod = node.hostEnds().find(({ index }) => route.type === RTN_UNICAST && index === route.oif);
  if (pod === undefined) return [];
  const words = routeName(route);
  const seen = `the host routes ${NAME} to a pod (${words} dev ${pod.name})`;
  return [error(seen, why, `ip route delete ${words} dev ${pod.name}`)];
}

/** The FIB does not name a route that discards what it matches: it is looked for among all of them. */
function discarding(node: Node): string | undefined {
  const [nearest] = node
    .mainRoutes(4)
    .filter(({ dst }) => contains(dst, GATEWAY[4]))
    .sort((a, b) => b.dst.length - a.dst.length || (a.metric ?? 0) - (b.metric ?? 0));
  return nearest && nearest.type !== RTN_UNICAST ? routeName(nearest) : undefined;
}

function routeName({ dst }: Route): string {
  return dst.length === 0 ? "default" : formatPrefix(dst);
}

function answerer(node: Node): string {
  const route = gatewayRoute(node);
  if (route === undefined)
    return "nobody: the host has no route to it, and ADD pins the neighbour in each pod";
  if (route.type === RTN_LOCAL) return "the host owns it";
  return `proxy ARP, as route ${routeName(route)} leaves by ${node.link(route.oif)?.name ?? `interface ${route.oif}`}`;
}

/** What the FIB says of packets to the gateway, from whomever. */
function gatewayRoute(node: Node): Route | undefined {
  const [outcome] = node.host.netlink.exchange([matchRoute(GATEWAY[4])]);
  const [message] = outcome?.messages ?? [];
  return message && decodeRoute(message);
}

/** "auto" pins the neighbour in each pod; only who forbade that is in trouble. */
function withoutRoute(node: Node): Finding[] {
  const strict = node.networks().filter(({ document }) => document.gatewayNeighbour === "proxy-arp");
  return strict.map(({ name, part }) => {
    const seen = `the host has no route to ${NAME}, and network ${name} has "gatewayNeighbour": "proxy-arp"`;
    const why = "Without a route the kernel does not answer for the gateway: ADD fails.";
    const path = part?.file.path ?? "<configuration>";
    return error(seen, why, `sed -i 's/"proxy-arp"/"auto"/' ${path}`);
  });
}
