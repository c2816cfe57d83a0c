// ip rule: which table is asked, and which packets are refused before any is. Source: include/uapi/linux/fib_rules.h.
import { type Address, addressFromBytes, everywhere, type Family, type Prefix } from "../../address.ts";
import { readAttributes, readString, readU32, viewOf } from "../netlink/attribute.ts";
import type { Message, Request } from "../netlink/message.ts";
import { familyNumber, familyOf, ipCommand } from "./family.ts";

const RTM_GETRULE = 34;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_PRIORITY = 6;
const RULE_BYTES = 12;

export interface Rule {
  readonly priority: number;
  readonly from: Prefix;
  readonly to: Prefix;
  /** The interface that the packet came in by; absent for any. */
  readonly iif: string | undefined;
  /** FR_ACT_*: to a table 1, blackhole 6, unreachable 7, prohibit 8. */
  readonly action: number;
}

/** For `NetlinkSocket.dump`. */
export function listRules(family: Family): Request {
  const body = new Uint8Array(RULE_BYTES);
  viewOf(body).setUint8(0, familyNumber(family));
  return { command: `${ipCommand(family)} rule show`, type: RTM_GETRULE, flags: 0, body };
}

/** `struct fib_rule_hdr`: family, dst_len, src_len, tos, table, two reserved, action (all u8), flags (u32). */
export function decodeRule({ body }: Message): Rule {
  const view = viewOf(body);
  const attributes = readAttributes(body.subarray(RULE_BYTES));
  const nobody = everywhere(familyOf(view.getUint8(0)) ?? 4).address;
  const address = (bytes: Uint8Array | undefined): Address => (bytes ? addressFromBytes(bytes) : nobody);
  return {
    priority: readU32(attributes.get(FRA_PRIORITY)) ?? 0,
    from: { address: address(attributes.get(FRA_SRC)), length: view.getUint8(2) },
    to: { address: address(attributes.get(FRA_DST)), length: view.getUint8(1) },
    iif: readString(attributes.get(FRA_IIFNAME)),
    action: view.getUint8(7),
  };
}
