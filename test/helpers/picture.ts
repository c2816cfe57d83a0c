/** What ip(8) and /proc/sys tell of a namespace, as lines that can be compared and read. */

import type { TestNetns } from "./lab.ts";

type Link = { ifname: string; flags: string[]; mtu: number; address: string; ifalias?: string };
type Addresses = { ifname: string; addr_info: AddressInfo[] };
type AddressInfo = {
  local: string;
  prefixlen: number;
  scope: string;
  tentative?: boolean;
  dadfailed?: boolean;
};
type Neighbour = { dst: string; dev: string; lladdr?: string; state: string[] };
type Route = {
  type: string;
  dst: string;
  gateway?: string;
  dev?: string;
  table?: string;
  protocol: string;
  scope: string;
  metric?: number;
  metrics?: { mtu?: number }[];
};

/** `eth0 up mtu 1500 mac 02:…`, and the alias in quotes if there is one. */
export function links(netns: TestNetns): string[] {
  return linkLines(list(netns, "link"));
}

function linkLines(all: readonly Link[]): string[] {
  return all.map(({ ifname, flags, mtu, address, ifalias }) => {
    const state = flags.includes("UP") ? "up" : "down";
    return `${ifname} ${state} mtu ${mtu} mac ${address}${ifalias === undefined ? "" : ` "${ifalias}"`}`;
  });
}

/** `eth0 10.20.1.2/32 global`, and the word "tentative" if the kernel would not use it yet. */
export function addresses(netns: TestNetns, dev?: string): string[] {
  const all = list<Addresses>(netns, "address");
  return addressLines(all.filter(({ ifname }) => dev === undefined || dev === ifname));
}

function addressLines(all: readonly Addresses[]): string[] {
  return all.flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ local, prefixlen, scope, tentative, dadfailed }) =>
      words(`${ifname} ${local}/${prefixlen} ${scope}`, tentative && "tentative", dadfailed && "dadfailed"),
    ),
  );
}

/** Of the main table unless a selector says otherwise, as `ip route` prints them: `10.20.1.2 dev cali… proto 32 scope link`. */
export function routes(netns: TestNetns, family: 4 | 6, ...selector: string[]): string[] {
  return routeLines(list(netns, `-${family}`, "route", "show", ...selector));
}

function routeLines(all: readonly Route[]): string[] {
  return all.map(({ type, dst, gateway, dev, table, protocol, scope, metric, metrics }) =>
    words(
      type !== "unicast" && type,
      dst,
      gateway && `via ${gateway}`,
      dev && `dev ${dev}`,
      table && `table ${table}`,
      `proto ${protocol}`,
      `scope ${scope}`,
      metric !== undefined && `metric ${metric}`,
      metrics?.[0]?.mtu !== undefined && `mtu ${metrics[0].mtu}`,
    ),
  );
}

/** `10.20.1.2 dev cali… lladdr 02:… PERMANENT`. */
export function neighbours(netns: TestNetns): string[] {
  return neighbourLines(list(netns, "neighbour"));
}

function neighbourLines(all: readonly Neighbour[]): string[] {
  const lines = all.map(({ dst, dev, lladdr, state }) =>
    words(`${dst} dev ${dev}`, lladdr && `lladdr ${lladdr}`, ...state),
  );
  return lines.sort(); // they come in the order of a hash table
}

/** `net/ipv4/ip_forward = 0`, for every setting under /proc/sys/net/ipv4 and ipv6 that can be read. */
export function settings(netns: TestNetns): string[] {
  const { stdout } = netns.exec("sh", "-c", "cd /proc/sys && grep -rs . net/ipv4 net/ipv6");
  return stdout.split("\n").map((line) => line.replace(":", " = "));
}

/**
 * All of it, all routing tables included. Of neighbours only the pinned ones: the others come and go by
 * themselves.
 */
export function picture(netns: TestNetns): string[] {
  const seen = netns.ipAll(["link", "address", "route show table all", "rule", "neighbour"]).map(whole);
  const [links, addresses, routes, rules, neighbours] = seen as [
    Link[],
    Addresses[],
    Route[],
    object[],
    Neighbour[],
  ];
  return [
    ...linkLines(links).map((line) => `link ${line}`),
    ...addressLines(addresses).map((line) => `address ${line}`),
    ...routeLines(routes).map((line) => `route ${line}`),
    ...rules.map((rule) => `rule ${JSON.stringify(rule)}`),
    ...neighbourLines(neighbours)
      .filter((line) => line.endsWith("PERMANENT"))
      .map((line) => `neighbour ${line}`),
    ...settings(netns),
  ].sort();
}

/** Waits until all addresses are usable: those of IPv6 become so when the kernel gets round to it. */
export function settle(netns: TestNetns): void {
  const isTentative = () => addresses(netns).some((line) => line.endsWith("tentative"));
  for (let left = 100; left > 0 && isTentative(); left--) Bun.sleepSync(20);
}

/** The lines that only one of two pictures has. */
export function difference(before: readonly string[], after: readonly string[]) {
  return {
    gone: before.filter((line) => !after.includes(line)),
    came: after.filter((line) => !before.includes(line)),
  };
}

function list<T>(netns: TestNetns, ...args: string[]): T[] {
  return whole(netns.ip(...args) ?? []) as T[];
}

/** `ip -json` prints `[{},…]` where a filter of its own left nothing of an object. */
function whole(entries: unknown): object[] {
  return (entries as object[]).filter((entry) => Object.keys(entry).length > 0);
}

function words(...parts: (string | false | undefined)[]): string {
  return parts.filter(Boolean).join(" ");
}
