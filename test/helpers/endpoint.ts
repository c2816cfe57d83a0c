/** Endpoints as ADD would make them, wired between namespaces of the tests. */

import { type Address, parseAddress } from "../../src/address.ts";
import { apply, type Sides } from "../../src/datapath/apply.ts";
import { type Endpoint, hostEndAlias, hostEndName, sandboxMac } from "../../src/datapath/endpoint.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import type { Step } from "../../src/datapath/step.ts";
import { defaultRoutes, wiring } from "../../src/datapath/wiring.ts";
import type { TestNetns } from "./lab.ts";

export type EndpointOptions = Partial<Omit<Endpoint, "addresses" | "attachment">> & {
  /** Default: 10.20.1.2. */
  readonly addresses?: readonly string[];
  readonly network?: string;
  readonly containerId?: string;
  readonly ifName?: string;
};

/** An endpoint with the names, MAC and routes that ADD gives; everything can be said otherwise. */
export function testEndpoint(options: EndpointOptions = {}): Endpoint {
  const { addresses = ["10.20.1.2"], ...rest } = options;
  const { network = "podnet", containerId = "container-1", ifName = "eth0", ...overrides } = rest;
  const attachment = { network, containerId, ifName };
  return {
    attachment,
    hostEnd: hostEndName("cali", attachment),
    sandboxMac: sandboxMac(attachment),
    addresses: addresses.map((text) => parseAddress(text) as Address),
    routes: defaultRoutes(),
    mtu: 1500,
    alias: hostEndAlias(attachment, "default/web-0"),
    allowIpForwarding: false,
    gatewayNeighbour: "auto",
    ...overrides,
  };
}

/** Two namespaces opened as slash32 opens them; closing them leaves the wiring as it is. */
export class OpenSides implements Sides, Disposable {
  readonly host: Namespace;
  readonly sandbox: Namespace;

  constructor(host: Pick<TestNetns, "path">, sandbox: Pick<TestNetns, "path">) {
    this.host = Namespace.open(host.path);
    this.sandbox = Namespace.open(sandbox.path);
  }

  [Symbol.dispose](): void {
    this.sandbox[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** Wires an endpoint as ADD does. Returns its steps. */
export function wire(host: TestNetns, sandbox: Pick<TestNetns, "path">, endpoint: Endpoint): Step[] {
  using sides = new OpenSides(host, sandbox);
  const steps = wiring(endpoint);
  apply(steps, sides);
  return steps;
}
