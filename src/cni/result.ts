// Results: one shape inside, and the shape of each version of the specification outside.
import { formatPrefix, hostPrefix, type Prefix, parseAddress, parsePrefix } from "../address.ts";
import { atLeast, type CniVersion, isSupported } from "./version.ts";

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export interface ResultInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** CNI_NETNS letter for letter; absent for interfaces of the host. */
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface ResultIp {
  /** With its length: "10.20.1.7/32". */
  readonly address: string;
  readonly gateway?: string;
  /** Index into `interfaces`. */
  readonly interface?: number;
}

export interface ResultRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** The shape of 1.1.0 without its version. */
export interface Result {
  readonly interfaces: readonly ResultInterface[];
  readonly ips: readonly ResultIp[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Dns;
}

/** The result as the version has it (CNI specification of each version, "Result"). */
export function renderResult(result: Result, cniVersion: CniVersion): object {
  if (!atLeast(cniVersion, "0.3.0")) return renderByFamily(result, cniVersion);
  const newest = atLeast(cniVersion, "1.1.0");
  return {
    cniVersion,
    interfaces: result.interfaces.map(({ name, mac, mtu, sandbox, socketPath, pciID }) =>
      defined({ name, mac, sandbox, ...(newest ? { mtu, socketPath, pciID } : {}) }),
    ),
    ips: result.ips.map(({ address, gateway, interface: index }) => {
      const family = atLeast(cniVersion, "1.0.0") ? {} : { version: address.includes(":") ? "6" : "4" };
      return defined({ ...family, address, gateway, interface: index });
    }),
    routes: result.routes.map((route) => (newest ? route : defined({ dst: route.dst, gw: route.gw }))),
    dns: result.dns,
  };
}

/** 0.1.0 and 0.2.0: one address of each family, with the routes of its family. */
function renderByFamily({ ips, routes, dns }: Result, cniVersion: CniVersion): object {
  const part = (isSix: boolean) => {
    const ip = ips.find(({ address }) => address.includes(":") === isSix);
    if (ip === undefined) return undefined;
    const own = routes
      .filter(({ dst }) => dst.includes(":") === isSix)
      .map(({ dst, gw }) => defined({ dst, gw }));
    return defined({ ip: ip.address, gateway: ip.gateway, routes: own });
  };
  return defined({ cniVersion, ip4: part(false), ip6: part(true), dns });
}

/** What cannot be read as a result, and why. */
export class ResultError extends Error {
  override readonly name = "ResultError";
}

/**
 * Reads a result of any version: a prevResult, or a delegate's answer. `fallback` is the version of one that does not say.
 * Throws a ResultError unless it has the shape; addresses and routes in it are well-formed afterwards.
 */
export function readResult(value: unknown, fallback: CniVersion): Result {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ResultError("Cannot read a result: it is not a JSON object");
  }
  const { cniVersion = fallback } = value as { cniVersion?: unknown };
  const version = cniVersion === "" ? fallback : cniVersion;
  if (typeof version !== "string" || !isSupported(version)) {
    throw new ResultError(`Cannot read a result: its cniVersion is ${JSON.stringify(version)}`);
  }
  const result = atLeast(version, "0.3.0") ? byList(value) : byFamily(value);
  for (const { address } of result.ips) checked(address, parsePrefix(address), "ips[].address");
  for (const { dst, gw } of result.routes) {
    checked(dst, parsePrefix(dst), "routes[].dst");
    if (gw) checked(gw, parseAddress(gw), "routes[].gw");
  }
  return result;
}

function byList(value: object): Result {
  const { interfaces, ips, routes, dns } = value as Partial<Record<keyof Result, unknown>>;
  return {
    interfaces: objects(interfaces, "interfaces", ["name"]) as unknown as ResultInterface[],
    ips: objects(ips, "ips", ["address"]).map(({ version: _, ...ip }) => ip) as unknown as ResultIp[],
    routes: objects(routes, "routes", ["dst"]) as unknown as ResultRoute[],
    dns: (dns ?? {}) as Dns,
  };
}

function byFamily(value: object): Result {
  const { ip4, ip6, dns } = value as { ip4?: unknown; ip6?: unknown; dns?: unknown };
  const parts = [ip4, ip6].flatMap((part) => (part ? objects([part], "ip4 and ip6", ["ip"]) : []));
  return {
    interfaces: [],
    ips: parts.map(({ ip, gateway }) => defined({ address: ip, gateway }) as unknown as ResultIp),
    routes: parts.flatMap(({ routes }) => objects(routes, "routes", ["dst"])) as unknown as ResultRoute[],
    dns: (dns ?? {}) as Dns,
  };
}

/** A list of objects in which these keys are text; an absent or null list is empty. */
function objects(value: unknown, key: string, texts: readonly string[]): Record<string, unknown>[] {
  const list = value ?? [];
  const isList =
    Array.isArray(list) &&
    list.every(
      (item) =>
        typeof item === "object" && item !== null && texts.every((text) => typeof item[text] === "string"),
    );
  if (!isList)
    throw new ResultError(`Cannot read a result: ${key} must be a list of objects with ${texts.join(", ")}`);
  return list;
}

function checked<T>(text: string, parsed: T | undefined, key: string): T {
  if (parsed === undefined) throw new ResultError(`Cannot read a result: ${key} is ${JSON.stringify(text)}`);
  return parsed;
}

/** The addresses of a result, each narrowed to itself: whatever the length, the sandbox holds a /32 or /128. */
export function narrowed(ips: readonly ResultIp[]): Prefix[] {
  return ips.map(({ address }) =>
    hostPrefix(checked(address, parsePrefix(address), "ips[].address").address),
  );
}

/** Configured DNS settings win over another's, if any of them is set (CNI conventions). */
export function mergedDns(...candidates: readonly (Dns | undefined)[]): Dns {
  const hasAny = (dns: Dns) => Object.values(dns).some((value) => value !== undefined && value.length > 0);
  return candidates.find((dns) => dns !== undefined && hasAny(dns)) ?? {};
}

/** One address of the result, as text with its length. */
export function resultIp(prefix: Prefix, index: number): ResultIp {
  return { address: formatPrefix(prefix), interface: index };
}

function defined(value: Record<string, unknown>): Record<string, unknown> & never {
  const result: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) if (inner !== undefined) result[key] = inner;
  return result as never;
}
