// Which packet is followed.
import type { Address } from "../../address.ts";

export type Protocol = "icmp" | "tcp" | "udp";

/** A packet on one of its ways, by what routing and firewalls look at. */
export interface Flow {
  readonly from: Address;
  readonly to: Address;
  readonly protocol: Protocol;
  /** The port that was asked for: of TO there, of FROM back. */
  readonly port: number | undefined;
  /** The answer to the first: connection tracking knows it as "established". */
  readonly isReply: boolean;
}

/** The same conversation, the other way. */
export function reversed({ from, to, ...flow }: Flow): Flow {
  return { ...flow, from: to, to: from, isReply: !flow.isReply };
}

/** "ICMP echo", "TCP to port 80". */
export function flowWords({ protocol, port }: Pick<Flow, "protocol" | "port">): string {
  return protocol === "icmp" ? "ICMP echo" : `${protocol.toUpperCase()} to port ${port}`;
}
