// What a lease is, and which wishes can be granted. Pure: no files, no kernel.
import { type Address, formatAddress } from "../address.ts";
import { type Attachment, attachmentKey } from "../attachment.ts";
import { isLeasable, type RangeSet, rangeName } from "./range.ts";

/** No address is left, or the one asked for cannot be given. Nothing was changed. */
export class LeaseError extends Error {
  override readonly name = "LeaseError";
  readonly code: "EXHAUSTED" | "UNAVAILABLE";

  constructor(code: "EXHAUSTED" | "UNAVAILABLE", message: string) {
    super(message);
    this.code = code;
  }
}

/** What is known of an attachment. */
export interface Holding {
  readonly attachment: Attachment;
  readonly hostEnd: string;
  /** Of both ends, when they were made. */
  readonly mtu: number;
  /** "namespace/name", where the runtime told. */
  readonly pod: string | undefined;
  /** Leased from our own ranges; empty where another IPAM plugin gives the addresses. */
  readonly addresses: readonly Address[];
  /** What another IPAM plugin answered, as JSON; absent before it did. */
  readonly delegated: string | undefined;
}

/** What is written down before the kernel is touched: from it DEL, GC or the next ADD finish what a crash left. */
export type Intent = Pick<Holding, "attachment" | "hostEnd" | "mtu" | "pod">;

/** An attachment with the addresses it is seen to hold. */
export type Lease = Intent & Pick<Holding, "addresses">;

/**
 * The leases of a network as others know them (the kernel does), for a store that has just been made: it may be one
 * that was lost. Asked then, and only then.
 */
export type Witness = () => readonly Lease[];

export interface LeaseRequest extends Intent {
  readonly sets: readonly RangeSet[];
  /** Addresses that must be among those given. */
  readonly requested: readonly Address[];
  /** The second witness: whether the host uses an address although the store does not know it. */
  readonly isInUse: (address: Address) => boolean;
}

/** Which wish goes to which set. A wish that no set can serve is refused before anything is written. */
export function choices({
  sets,
  requested,
  attachment,
}: LeaseRequest): { set: RangeSet; wish: Address | undefined }[] {
  const left = [...requested];
  const chosen = sets.map((set) => {
    const at = left.findIndex((address) => set.some((range) => isLeasable(range, address)));
    return { set, wish: at < 0 ? undefined : left.splice(at, 1)[0] };
  });
  const [stray] = left;
  if (stray === undefined) return chosen;
  const rival = chosen.find(({ set }) => set.some((range) => isLeasable(range, stray)))?.wish;
  const ranges = sets.flat().map(rangeName).join(", ");
  const reason = rival
    ? `a pod gets one address of each range set, and ${formatAddress(rival)} is asked for, too`
    : `it is reserved, or not in ${ranges}`;
  throw unavailable(stray, `${reason}, for ${attachmentKey(attachment)}`);
}

/** What is held already, if the wishes are among it. */
export function confirmed(
  held: readonly Address[],
  requested: readonly Address[],
  attachment: Attachment,
): readonly Address[] {
  const names = held.map(formatAddress);
  const stray = requested.find((address) => !names.includes(formatAddress(address)));
  if (stray) throw unavailable(stray, `${attachmentKey(attachment)} holds ${names.join(" and ")} already`);
  return held;
}

/** The refusal of a wish. */
export function unavailable(address: Address, reason: string): LeaseError {
  return new LeaseError(
    "UNAVAILABLE",
    `Cannot lease the requested address ${formatAddress(address)}: ${reason}`,
  );
}
