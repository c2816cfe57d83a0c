// Who is measured: the plugins, each told to do the same work, and started in the same way.
import { resolve } from "node:path";
import type { Verb } from "../helpers/plugin.ts";
import type { Call } from "./launch.ts";

/** Where Debian's containernetworking-plugins live; also CNI_PATH, for the IPAM plugin they start. */
export const CNI_PATH = "/usr/lib/cni";
/** Room for 5 000 leases beside those of a burst. */
export const SUBNET = "10.20.0.0/16";
/** The newest that Debian 12's plugins speak. */
const VERSION = "1.0.0";

export type Name = "slash32" | "ptp" | "bridge";

type NetworkConfiguration = Readonly<Record<string, unknown>>;

export interface Contestant {
  readonly name: Name;
  readonly executable: string;
  /** One IPv4 address out of SUBNET and a default route; what is leased is kept below `state`. */
  netconf(network: string, state: string): NetworkConfiguration;
}

const hostLocal = (dataDir: string) => ({
  type: "host-local",
  dataDir,
  ranges: [[{ subnet: SUBNET }]],
  routes: [{ dst: "0.0.0.0/0" }],
});

export const SLASH32: Contestant = {
  name: "slash32",
  executable: resolve(import.meta.dirname, "../../bin/slash32"),
  netconf: (name, stateDir) => ({
    cniVersion: VERSION,
    name,
    type: "slash32",
    stateDir,
    ipam: { type: "slash32", ranges: [[{ subnet: SUBNET }]] },
  }),
};

export const PTP: Contestant = {
  name: "ptp",
  executable: `${CNI_PATH}/ptp`,
  netconf: (name, state) => ({ cniVersion: VERSION, name, type: "ptp", ipam: hostLocal(state) }),
};

export const BRIDGE: Contestant = {
  name: "bridge",
  executable: `${CNI_PATH}/bridge`,
  netconf: (name, state) => ({
    cniVersion: VERSION,
    name,
    type: "bridge",
    bridge: "bench0",
    isGateway: true,
    ipam: hostLocal(state),
  }),
};

export const CONTESTANTS: readonly Contestant[] = [SLASH32, PTP, BRIDGE];

/** What a verb is asked about. */
export interface Target {
  readonly containerId: string;
  readonly netns: string;
}

/** A call of `verb` as a container runtime makes it. */
export function call(
  { executable }: Contestant,
  verb: Verb,
  netconf: NetworkConfiguration,
  target?: Target,
): Call {
  const environment = {
    PATH: process.env.PATH ?? "",
    CNI_COMMAND: verb,
    CNI_CONTAINERID: target?.containerId ?? "",
    CNI_NETNS: target?.netns ?? (verb === "VERSION" ? "dummy" : ""),
    CNI_IFNAME: target ? "eth0" : verb === "VERSION" ? "dummy" : "",
    CNI_ARGS: "",
    CNI_PATH,
  };
  return { executable, environment, stdin: JSON.stringify(netconf) };
}
