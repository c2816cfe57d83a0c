// Ranges: which addresses may be leased. Pure: no files, no kernel.
import {
  type Address,
  bounds,
  type Family,
  formatAddress,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  width,
} from "../address.ts";

/** The words of a configuration: the keys of host-local, and `exclude`. */
export interface RangeConfig {
  readonly subnet: string;
  readonly rangeStart?: string;
  readonly rangeEnd?: string;
  readonly gateway?: string;
  readonly exclude?: readonly string[];
}

/** A run of addresses, both ends included. */
export interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

export interface Range extends Span {
  readonly family: Family;
  readonly subnet: Prefix;
  /** Within the range, never leased: excluded by the configuration, or the first host address. Sorted. */
  readonly reserved: readonly Span[];
}

/** One address is given per set; the ranges of a set are alternatives, tried in order. */
export type RangeSet = readonly Range[];

/** A mistake in a configuration: where, what stands there, and what was expected. */
export interface Mistake {
  /** As a person would point at it: `ipam.ranges[0][1].rangeStart`. */
  readonly key: string;
  readonly value: unknown;
  readonly expected: string;
}

/** The node's own pod CIDRs, which "usePodCidr" and "usePodCidrIPv6" stand for. */
export type PodCidrs = Readonly<Partial<Record<Family, string>>>;

const POD_CIDR_WORDS: ReadonlyMap<string, Family> = new Map([
  ["usepodcidr", 4],
  ["usepodcidripv6", 6],
]);

/** Which family's pod CIDR a `subnet` asks for, if it does. Like Calico, whatever the case of the letters. */
export function podCidrFamily(subnet: string): Family | undefined {
  return POD_CIDR_WORDS.get(subnet.toLowerCase());
}

/**
 * Reads range sets, and tells all mistakes at once; with any mistake the sets are not to be used.
 * `at` is the key under which the sets stand.
 */
export function readRangeSets(
  sets: readonly (readonly RangeConfig[])[],
  podCidrs: PodCidrs,
  at: string,
): { sets: RangeSet[]; mistakes: Mistake[] } {
  const mistakes: Mistake[] = [];
  const read = sets.map((set, outer) =>
    set
      .map((config, inner) => readRange(config, podCidrs, `${at}[${outer}][${inner}]`, mistakes))
      .filter((range) => range !== undefined),
  );
  const isAlone = sets.length === 1 && sets[0]?.length === 1;
  if (mistakes.length === 0 && !isAlone) {
    mistakes.push(...mixedFamilies(read, sets, at), ...overlaps(read, sets, at));
  }
  return { sets: read, mistakes };
}

/** Whether the address lies in the range and may be leased. */
export function isLeasable(range: Range, { family, value }: Address): boolean {
  const inside = family === range.family && value >= range.first && value <= range.last;
  return inside && !range.reserved.some(({ first, last }) => value >= first && value <= last);
}

/** The first leasable address of the range at or after `from`; a reserved run is left in one leap. */
export function nextLeasable(range: Range, from: bigint): Address | undefined {
  let value = from < range.first ? range.first : from;
  for (const { first, last } of range.reserved) if (value >= first && value <= last) value = last + 1n;
  return value <= range.last ? { family: range.family, value } : undefined;
}

/** How many addresses the sets' ranges can lease at the most, together. */
export function leasableCount(set: RangeSet): bigint {
  return set.reduce((sum, { first, last, reserved }) => {
    return (
      sum + (last - first + 1n) - reserved.reduce((held, span) => held + span.last - span.first + 1n, 0n)
    );
  }, 0n);
}

/** "10.20.1.0/24", or with bounds of its own "10.20.1.10-10.20.1.20". Names the range to people and to the store. */
export function rangeName({ family, first, last, subnet }: Range): string {
  const whole = usable(subnet);
  if (first === whole.first && last === whole.last) return formatPrefix(subnet);
  return `${formatAddress({ family, value: first })}-${formatAddress({ family, value: last })}`;
}

function readRange(
  config: RangeConfig,
  podCidrs: PodCidrs,
  at: string,
  mistakes: Mistake[],
): Range | undefined {
  const wrong = (key: string, value: unknown, expected: string) => {
    mistakes.push({ key: `${at}.${key}`, value, expected });
    return undefined;
  };
  const family = podCidrFamily(config.subnet);
  const subnet = parsePrefix((family && podCidrs[family]) ?? config.subnet);
  if (subnet === undefined) return wrong("subnet", config.subnet, 'a subnet such as "10.20.1.0/24"');
  const network = bounds(subnet);
  const shortest = width(subnet.address.family) - 2;
  if (network.first !== subnet.address.value) {
    const right = formatPrefix(networkOf(subnet));
    return wrong("subnet", config.subnet, `no host bits set: "${right}"`);
  }
  if (subnet.length > shortest) return wrong("subnet", config.subnet, `/${shortest} or larger`);

  const before = mistakes.length;
  const whole = usable(subnet);
  const bound = (key: "rangeStart" | "rangeEnd" | "gateway", absent: bigint): bigint => {
    const text = config[key];
    if (text === undefined) return absent;
    const address = parseAddress(text);
    const isInside = address?.family === subnet.address.family && contains(network, address.value);
    if (!isInside) wrong(key, text, `an address in ${formatPrefix(subnet)}`);
    return isInside ? address.value : absent;
  };
  const first = max(bound("rangeStart", whole.first), whole.first);
  const last = min(bound("rangeEnd", whole.last), whole.last);
  if (first > last)
    wrong("rangeEnd", config.rangeEnd ?? config.rangeStart, "an address not before rangeStart");
  const gateway = bound("gateway", whole.first);
  const reserved = [
    { first: gateway, last: gateway },
    { first: whole.first, last: whole.first },
  ];
  for (const [index, text] of (config.exclude ?? []).entries()) {
    const excluded = parseSpan(text, subnet.address.family);
    if (excluded) reserved.push(excluded);
    else wrong(`exclude[${index}]`, text, `an address or a CIDR of the family of ${formatPrefix(subnet)}`);
  }
  if (mistakes.length > before) return undefined;
  return { family: subnet.address.family, subnet, first, last, reserved: merged(reserved, { first, last }) };
}

/** Host addresses: without the network address and, in IPv4, the broadcast address. */
function usable(subnet: Prefix): Span {
  const { first, last } = bounds(subnet);
  return { first: first + 1n, last: subnet.address.family === 4 ? last - 1n : last };
}

function parseSpan(text: string, family: Family): Span | undefined {
  const prefix = parsePrefix(text.includes("/") ? text : `${text}/${width(family)}`);
  return prefix?.address.family === family ? bounds(prefix) : undefined;
}

/** Sorted, cut to the range, and joined where they touch: so that one pass leaves them all behind. */
function merged(spans: readonly Span[], within: Span): Span[] {
  const result: { first: bigint; last: bigint }[] = [];
  const cut = spans
    .filter(({ first, last }) => last >= within.first && first <= within.last)
    .map(({ first, last }) => ({ first: max(first, within.first), last: min(last, within.last) }))
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  for (const span of cut) {
    const previous = result[result.length - 1];
    if (previous && span.first <= previous.last + 1n) previous.last = max(previous.last, span.last);
    else result.push({ ...span });
  }
  return result;
}

function mixedFamilies(
  sets: readonly RangeSet[],
  configs: readonly (readonly RangeConfig[])[],
  at: string,
): Mistake[] {
  return sets.flatMap((set, outer) => {
    const stray = set.findIndex(({ family }) => family !== set[0]?.family);
    if (stray < 0) return [];
    const expected =
      "the same family as the set's first range (a set gives one address; two sets make dual stack)";
    return [{ key: `${at}[${outer}][${stray}].subnet`, value: configs[outer]?.[stray]?.subnet, expected }];
  });
}

function overlaps(
  sets: readonly RangeSet[],
  configs: readonly (readonly RangeConfig[])[],
  at: string,
): Mistake[] {
  const all = sets.flatMap((set, outer) => set.map((range, inner) => ({ range, outer, inner })));
  return all.flatMap(({ range, outer, inner }, position) => {
    const other = all.slice(0, position).find((earlier) => {
      return (
        earlier.range.family === range.family &&
        earlier.range.first <= range.last &&
        range.first <= earlier.range.last
      );
    });
    if (other === undefined) return [];
    const expected = `no overlap with ${at}[${other.outer}][${other.inner}]`;
    return [{ key: `${at}[${outer}][${inner}]`, value: configs[outer]?.[inner]?.subnet, expected }];
  });
}

function contains({ first, last }: Span, value: bigint): boolean {
  return value >= first && value <= last;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
