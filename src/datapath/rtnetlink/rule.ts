// ip rule: which table is asked, and which packets are refused before any is. Source: include/uapi/linux/fib_rules.h.
import { type Address, addressFromBytes, everywhere, type Family, type Prefix } from "../../address.ts";
import { readAttributes, readString, readU32, viewOf } from "../netlink/attribute.ts";
import type { Message, Request } from "../netlink/message.ts";
import { familyNumber, familyOf, ipCommand } from "./family.ts";

const RTM_GETRULE = 34;
const FRA_DST = 1;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_FLOW = 11;
const FRA_SUPPRESS_PREFIXLEN = 14;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_OIFNAME = 17;
const FRA_PAD = 18;
const FRA_PROTOCOL = 21;
const FIB_RULE_INVERT = 0x2;
const FIB_RULE_UNRESOLVED = 0x4;
const RULE_BYTES = 12;

/** All that is decoded, and what says nothing of which packets a rule is for. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  ...[FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_OIFNAME, FRA_FWMARK, FRA_FWMASK],
  ...[FRA_GOTO, FRA_PRIORITY, FRA_TABLE, FRA_SUPPRESS_PREFIXLEN, FRA_FLOW, FRA_PAD, FRA_PROTOCOL],
]);

export const FR_ACT_TO_TBL = 1;

export interface Rule {
  readonly priority: number;
  readonly from: Prefix;
  readonly to: Prefix;
  /** The interface that the packet came in by, "lo" for what is sent from here; absent for any. */
  readonly iif: string | undefined;
  /** The interface that a socket is bound to; absent for any. */
  readonly oif: string | undefined;
  /** Bits of the packet's mark, and what they are to be; 0 and 0 for any. */
  readonly mark: { readonly value: number; readonly mask: number };
  readonly tos: number;
  /** It is for all packets but these ("not"). */
  readonly isInverted: boolean;
  /** It asks for something else besides: ports, users, a VRF, … */
  readonly isVague: boolean;
  /** FR_ACT_*: to a table 1, to another rule 2, on to the next 3, blackhole 6, unreachable 7, prohibit 8. */
  readonly action: number;
  readonly table: number;
  /** The priority of the rule to go on with, where that rule is there. */
  readonly goto: number | undefined;
  /** Routes with a prefix of this length or less do not count; -1 where all do. */
  readonly suppressed: number;
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
  const number = (type: number) => readU32(attributes.get(type));
  const flags = view.getUint32(8, true);
  return {
    priority: number(FRA_PRIORITY) ?? 0,
    from: { address: address(attributes.get(FRA_SRC)), length: view.getUint8(2) },
    to: { address: address(attributes.get(FRA_DST)), length: view.getUint8(1) },
    iif: readString(attributes.get(FRA_IIFNAME)),
    oif: readString(attributes.get(FRA_OIFNAME)),
    mark: { value: number(FRA_FWMARK) ?? 0, mask: number(FRA_FWMASK) ?? 0 },
    tos: view.getUint8(3),
    isInverted: (flags & FIB_RULE_INVERT) !== 0,
    isVague: [...attributes].some(([type]) => !UNDERSTOOD.has(type)),
    action: view.getUint8(7),
    table: number(FRA_TABLE) ?? view.getUint8(4),
    goto: flags & FIB_RULE_UNRESOLVED ? undefined : number(FRA_GOTO),
    suppressed: (number(FRA_SUPPRESS_PREFIXLEN) ?? -1) | 0,
  };
}
