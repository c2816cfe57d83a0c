// What a trace finds: facts, each at its place, in the order in which a packet meets them. Pure values.

/** "wrong" keeps packets from arriving; "warning" does not, or not all; "unknown" could not be decided from here. */
export type Verdict = "ok" | "wrong" | "warning" | "unknown";

export type Way = "there" | "back";

/** One thing that was looked at. */
export interface Fact {
  /** Where: "sandbox default/web-0", "host", "beyond". */
  readonly place: string;
  /** What was looked at: "route to 10.20.1.3". */
  readonly subject: string;
  readonly seen: string;
  readonly expected?: string;
  readonly verdict: Verdict;
  /** What it means for the packet. */
  readonly why?: string;
  /** What to type on the host as root. */
  readonly mend?: string;
}

/** What a packet meets at one place on one of its ways. */
export interface Hop {
  readonly place: string;
  readonly way: Way;
  readonly facts: readonly Fact[];
}

/** A place of the picture. */
export interface Place {
  readonly name: string;
  readonly title: string;
  readonly detail: string;
}

/** The cable or link between a place and the next: what it is called on either side. */
export interface Joint {
  readonly upper: string;
  readonly lower: string;
}

/** What else is told of a fact that is not simply well. */
type Remark = Partial<Pick<Fact, "expected" | "why" | "mend">>;

/** Collects the facts of one place. */
export class Notes {
  readonly place: string;
  readonly facts: Fact[] = [];

  constructor(place: string) {
    this.place = place;
  }

  ok(subject: string, seen: string): void {
    this.#add(subject, seen, "ok", {});
  }

  wrong(subject: string, seen: string, remark: Remark): void {
    this.#add(subject, seen, "wrong", remark);
  }

  warning(subject: string, seen: string, remark: Remark = {}): void {
    this.#add(subject, seen, "warning", remark);
  }

  unknown(subject: string, seen: string, remark: Remark = {}): void {
    this.#add(subject, seen, "unknown", remark);
  }

  #add(subject: string, seen: string, verdict: Verdict, { expected, why, mend }: Remark): void {
    const remark = {
      ...(expected === undefined ? {} : { expected }),
      ...(why === undefined ? {} : { why }),
      ...(mend === undefined ? {} : { mend }),
    };
    this.facts.push({ place: this.place, subject, seen, verdict, ...remark });
  }
}

/** The first thing on the packet's way that is wrong. What comes after it may be its consequence. */
export function firstWrong(hops: readonly Hop[]): Fact | undefined {
  return hops.flatMap(({ facts }) => facts).find(({ verdict }) => verdict === "wrong");
}
