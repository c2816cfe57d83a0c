// The wiring of an endpoint, as data: the walk-through that ADD applies, CHECK verifies and `plan` prints.
import { type Address, everywhere, type Family, hostPrefix } from "../address.ts";
import { type Endpoint, GATEWAY, HOST_MAC, ROUTE_PROTOCOL } from "./endpoint.ts";
import type { Side, Step } from "./step.ts";

/** The steps in the order in which they can be carried out. Pure: nothing happens, nothing is asked. */
export function wiring(endpoint: Endpoint): Step[] {
  const { hostEnd, sandboxMac, mtu, alias, addresses } = endpoint;
  const { ifName } = endpoint.attachment;
  return [
    // A cable from the host into the sandbox, both ends made by one message.
    {
      kind: "veth",
      on: "host",
      hostEnd: { name: hostEnd, mac: HOST_MAC, mtu },
      sandboxEnd: { name: ifName, mac: sandboxMac, mtu },
    },
    ...hostSettings(endpoint),
    ...sandboxSettings(endpoint),
    { kind: "up", on: "host", dev: hostEnd, alias },
    { kind: "up", on: "sandbox", dev: "lo" },
    { kind: "up", on: "sandbox", dev: ifName },
    // One address each, and one way out: through a gateway that no interface owns.
    ...addresses.map((address): Step => ({ kind: "address", on: "sandbox", dev: ifName, address })),
    ...waysOut(endpoint),
    // And back. The neighbour is pinned, so no question need be asked towards the sandbox.
    ...ofEach(addresses, (address) => [
      { kind: "route", on: "host", dev: hostEnd, dst: hostPrefix(address), protocol: ROUTE_PROTOCOL },
      { kind: "neighbour", on: "host", dev: hostEnd, address, mac: sandboxMac },
    ]),
    ...ofEach(addresses, (address) => gatewayAnswer(endpoint, address)),
  ];
}

/** Before the host end goes up, so that no packet meets it half set. */
function hostSettings({ hostEnd, addresses }: Endpoint): Step[] {
  const four = ipv4(addresses)
    ? [
        // The host answers for 169.254.1.1, at once and not after a random delay of up to 0.8 s.
        ...sysctls("host", `net/ipv4/conf/${hostEnd}`, { proxy_arp: 1 }),
        ...sysctls("host", `net/ipv4/neigh/${hostEnd}`, { proxy_delay: 0 }),
        // Packets pass; and a NodePort may be reached by 127.0.0.1.
        ...sysctls("host", `net/ipv4/conf/${hostEnd}`, { forwarding: 1, route_localnet: 1 }),
        ...sysctls("host", "net/ipv4", { ip_forward: 1 }),
      ]
    : [];
  const six = ipv6(addresses)
    ? [
        ...sysctls("host", `net/ipv6/conf/${hostEnd}`, {
          // The link-local gateway is derived from the MAC (EUI-64) and usable at once.
          addr_gen_mode: 0,
          accept_dad: 0,
          disable_ipv6: 0,
          proxy_ndp: 1,
          forwarding: 1,
        }),
        ...sysctls("host", "net/ipv6/conf/all", { forwarding: 1 }),
      ]
    : [];
  // No sandbox shall advertise itself as the host's router; a kernel without IPv6 need not be told.
  const deaf = sysctls("host", `net/ipv6/conf/${hostEnd}`, { accept_ra: 0 }, !ipv6(addresses));
  return [...four, ...six, ...deaf];
}

function sandboxSettings({ addresses, attachment: { ifName }, allowIpForwarding }: Endpoint): Step[] {
  const forward = allowIpForwarding ? 1 : 0;
  const four = ipv4(addresses) ? sysctls("sandbox", "net/ipv4", { ip_forward: forward }) : [];
  const six = ipv6(addresses)
    ? [
        // Runtimes switch IPv6 off in sandboxes; an address was given, so it is wanted here.
        ...sysctls("sandbox", "net/ipv6/conf/all", { disable_ipv6: 0, forwarding: forward }),
        ...sysctls("sandbox", "net/ipv6/conf/lo", { disable_ipv6: 0 }),
        ...sysctls("sandbox", `net/ipv6/conf/${ifName}`, { disable_ipv6: 0, accept_dad: 0 }),
      ]
    : [];
  return [...four, ...six];
}

function waysOut({ addresses, routes, attachment: { ifName } }: Endpoint): Step[] {
  const gateways = families(addresses)
    .filter((family) => family === 4)
    .map((family): Step => {
      // A second interface in the sandbox has the same gateway, by its own link.
      return { kind: "route", on: "sandbox", dev: ifName, dst: hostPrefix(GATEWAY[family]), append: true };
    });
  const out = routes
    .filter(({ dst }) => families(addresses).includes(dst.address.family))
    .map((route): Step => {
      const via = GATEWAY[route.dst.address.family];
      return { kind: "route", on: "sandbox", dev: ifName, ...route, via, ifAbsent: route.dst.length === 0 };
    });
  return [...gateways, ...out];
}

function gatewayAnswer(
  { gatewayNeighbour, hostEnd, attachment: { ifName } }: Endpoint,
  from: Address,
): Step[] {
  const gateway = GATEWAY[from.family];
  const common = { on: "sandbox", dev: ifName, mac: HOST_MAC } as const;
  if (gatewayNeighbour === "permanent") return [{ kind: "neighbour", ...common, address: gateway }];
  return [{ kind: "gateway", ...common, gateway, from, hostEnd, pin: gatewayNeighbour === "auto" }];
}

/** The default routes a sandbox gets unless the configuration lists others. */
export function defaultRoutes(): { dst: ReturnType<typeof everywhere> }[] {
  return [{ dst: everywhere(4) }, { dst: everywhere(6) }];
}

function sysctls(on: Side, directory: string, values: Record<string, number>, optional = false): Step[] {
  return Object.entries(values).map(([name, value]) => ({
    kind: "sysctl",
    on,
    key: `${directory}/${name}`,
    value: String(value),
    ...(optional ? { optional } : {}),
  }));
}

/** `flatMap` without the 0.2 ms that it takes to be set up. */
function ofEach(addresses: readonly Address[], stepsOf: (address: Address) => Step[]): Step[] {
  const steps: Step[] = [];
  for (const address of addresses) steps.push(...stepsOf(address));
  return steps;
}

function families(addresses: readonly Address[]): Family[] {
  return [...new Set(addresses.map(({ family }) => family))];
}

function ipv4(addresses: readonly Address[]): boolean {
  return families(addresses).includes(4);
}

function ipv6(addresses: readonly Address[]): boolean {
  return families(addresses).includes(6);
}
