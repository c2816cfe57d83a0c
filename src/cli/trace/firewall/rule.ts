// What a firewall's rules are, whoever printed them: in the words of nft (libnftables-json(5)).

/** An expression or statement: one key says what it is. Only what `evaluate` knows is looked into. */
export type Expression = Readonly<Record<string, unknown>>;

export interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Expression[];
}

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Of base chains: the hook, its order, and what becomes of a packet that no rule decides. */
  readonly hook?: string;
  readonly type?: string;
  readonly prio?: number;
  readonly policy?: string;
  /** Of chains at the hooks ingress and egress: for which interfaces; absent where that is not known. */
  readonly devices?: readonly string[];
  readonly rules: readonly Rule[];
  /** The command of iptables that has this chain, where it was not read with nft. */
  readonly tool?: string;
}

export interface Ruleset {
  readonly chains: readonly Chain[];
  /** Elements of named sets, by "family table name". */
  readonly sets: ReadonlyMap<string, readonly unknown[]>;
}

/** A table by its family and name. */
export function tableOf({ family, table }: Pick<Chain, "family" | "table">): string {
  return `${family} ${table}`;
}

/** Whether a chain sees what one interface receives or sends, and not what a host does with it. */
export function isAtDevice({ hook }: Pick<Chain, "hook">): boolean {
  return hook === "ingress" || hook === "egress";
}
