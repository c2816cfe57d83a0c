// A disagreement between store and kernel, and what settles it.

export type Kind =
  | "store-damaged"
  | "store-missing"
  | "store-unreadable"
  | "lease-without-link"
  | "lease-without-address"
  | "lease-without-route"
  | "lease-without-neighbour"
  | "lease-outside-ranges"
  | "link-without-lease"
  | "link-not-ours"
  | "link-down"
  | "link-renamed"
  | "sandbox-gone"
  | "sandbox-end-on-host"
  | "sandbox-end-renamed"
  | "sandbox-without-address"
  | "route-elsewhere"
  | "route-not-ours"
  | "route-without-lease"
  | "address-of-host"
  | "address-leased-twice";

/** One act. `command` is what it stands for; a line that begins with "#" is one that no command stands for. */
export interface Mend {
  readonly command: string;
  carryOut(): void;
}

export interface Finding {
  readonly kind: Kind;
  readonly network: string;
  /** "network/container/interface"; absent where it is about more than one, or none. */
  readonly attachment?: string;
  readonly subject: string;
  readonly is: string;
  readonly should: string;
  /** What settles it, in order. Empty where only a person or the runtime can. */
  readonly mends: readonly Mend[];
  /** Who can, where `mends` is empty. */
  readonly advice?: string;
}
