// Address families as the kernel numbers them. Source: include/linux/socket.h.
import type { Family } from "../../address.ts";

export const NETLINK_ROUTE = 0;
const AF_INET = 2;
const AF_INET6 = 10;

export function familyNumber(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

/** `undefined` for families we do not speak (bridge entries, MPLS). */
export function familyOf(number: number): Family | undefined {
  return number === AF_INET ? 4 : number === AF_INET6 ? 6 : undefined;
}

/** "ip" for IPv4, "ip -6" where ip(8) has to be told. */
export function ipCommand(family: Family): string {
  return family === 4 ? "ip" : "ip -6";
}
