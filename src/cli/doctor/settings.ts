// Settings of the kernel that decide about everybody's packets. Those of each host end are its attachment's affair.
import type { Family } from "../../address.ts";
import { GATEWAY } from "../../datapath/endpoint.ts";
import type { Link } from "../../datapath/rtnetlink/link.ts";
import type { Route } from "../../datapath/rtnetlink/route.ts";
import type { Node } from "../node/node.ts";
import { type Check, counted, error, type Finding, fine, found, unable, warning } from "./check.ts";

/** Reverse path filtering that drops what comes in by another way than the answer would leave (ip-sysctl.rst). */
const STRICT = 1;
/** Routes that the kernel learnt from router advertisements (include/uapi/linux/rtnetlink.h). */
const RTPROT_RA = 9;
/** A table that is this full drops neighbours that are in use (net/core/neighbour.c, neigh_forced_gc). */
const FULL = 0.8;

const FORWARDING: Readonly<Record<Family, string>> = {
  4: "net/ipv4/ip_forward",
  6: "net/ipv6/conf/all/forwarding",
};

const forwarding: Check = {
  title: "packets are forwarded",
  run(node) {
    const addresses = node.podAddresses();
    const families = ([4, 6] as const).filter((family) =>
      addresses.some((address) => address.family === family),
    );
    const off = families.filter((family) => isForwardingOff(node, family));
    const why = "No packet passes to or from any pod on this node.";
    const findings = off.map((family) => {
      const setting = FORWARDING[family].replaceAll("/", ".");
      return error(`${setting} is 0`, why, `sysctl -w ${setting}=1`);
    });
    return found(findings, families.length > 0 ? "on" : "no pods yet; the first ADD switches it on");
  },
};

const forwardingOfUplinks: Check = {
  title: "the ways out forward, too",
  run(node) {
    if (node.podCount() === 0) return fine("no pods yet");
    const uplinks = waysOut(node, 4);
    const off = uplinks.filter(({ name }) => node.sysctl(`net/ipv4/conf/${name}/forwarding`) === "0");
    // With the switch for all of them off this says nothing new.
    if (isForwardingOff(node, 4)) return fine("off altogether, as told above");
    const why = (name: string) => `Packets for pods that come in by ${name} are dropped.`;
    const findings = off.map(({ name }) =>
      error(
        `net.ipv4.conf.${name}.forwarding is 0`,
        why(name),
        `sysctl -w ${dotted(`net/ipv4/conf/${name}/forwarding`)}=1`,
      ),
    );
    return found(findings, uplinks.map(({ name }) => name).join(", ") || "no way out");
  },
};

const reversePath: Check = {
  title: "answers may come back another way",
  run(node) {
    const all = Number(node.sysctl("net/ipv4/conf/all/rp_filter") ?? 0);
    const out = waysOut(node, 4);
    const findings = sideEntrances(node, out).flatMap(({ name }): Finding[] => {
      const own = Number(node.sysctl(`net/ipv4/conf/${name}/rp_filter`) ?? 0);
      // The greater of the two counts (ip-sysctl.rst).
      if (Math.max(all, own) !== STRICT) return [];
      const ways = out.map(({ name: way }) => way).join(" and ");
      const why = `What comes in by ${name} from addresses that are reached by ${ways} is dropped without a word.`;
      const set = `sysctl -w ${dotted(`net/ipv4/conf/${name}/rp_filter`)}=2`;
      return [warning(`rp_filter is strict (1) on ${name}`, why, set)];
    });
    return found(findings, findings.length === 0 ? "no strict rp_filter where it would hurt" : "");
  },
};

const advertisements: Check = {
  title: "IPv6 routers are still listened to",
  run(node) {
    if (!hasIpv6(node)) return fine("no IPv6");
    const findings = node.defaultRoutes(6).flatMap((route): Finding[] => {
      const [link] = leavingBy(node, route);
      if (route.protocol !== RTPROT_RA || link === undefined) return [];
      const key = `net/ipv6/conf/${link.name}/accept_ra`;
      if (node.sysctl(key) !== "1" || !node.wants(6)) return [];
      const why =
        "A host that forwards ignores router advertisements, and forgets the routers that it has by them: no default route is left.";
      const seen = `${dotted(key)} is 1, and the default route came by an advertisement`;
      return [warning(seen, why, `sysctl -w ${dotted(key)}=2`)];
    });
    return found(findings, "no default route that depends on them");
  },
};

const neighbours: Check = {
  title: "the neighbour table is large enough",
  run(node) {
    const limits = ([4, 6] as const).map((family) => ({
      family,
      key: `net/ipv${family}/neigh/default/gc_thresh3`,
    }));
    const readable = limits.flatMap(({ family, key }) => {
      const value = node.sysctl(key);
      return value === undefined ? [] : [{ family, key, limit: Number(value) }];
    });
    if (readable.length === 0) return unable("only the host's first network namespace shows gc_thresh3");
    // Every pod keeps one for the gateway; those towards pods are pinned, and not counted (kernel 5.0).
    const pods = node.podCount();
    const findings = readable
      .filter(({ family, limit }) => node.wants(family) && pods > limit * FULL)
      .map(({ key, limit }) => {
        const why = "Full, it drops neighbours that are in use: connections stall, now here, now there.";
        const seen = `${dotted(key)} is ${limit}, for ${counted(pods, "pod")}`;
        return warning(seen, why, `sysctl -w ${dotted(key)}=${Math.max(4 * pods, 4096)}`);
      });
    return found(findings, readable.map(({ limit }) => `up to ${limit}`).join(", "));
  },
};

export const SETTINGS: readonly Check[] = [
  forwarding,
  forwardingOfUplinks,
  reversePath,
  advertisements,
  neighbours,
];

/** For all interfaces at once. */
export function isForwardingOff(node: Node, family: Family): boolean {
  return node.sysctl(FORWARDING[family]) === "0";
}

/** Interfaces that a default route leaves by. */
export function waysOut(node: Node, family: Family): Link[] {
  return [...new Set(node.defaultRoutes(family).flatMap((route) => leavingBy(node, route)))];
}

/** By which interface, or where there are several next hops by which ones. */
function leavingBy(node: Node, { oif, hops }: Route): Link[] {
  const numbers = hops.length > 0 ? hops.map((hop) => hop.oif) : [oif];
  return numbers.flatMap((number) => node.link(number) ?? []);
}

export function hasIpv6(node: Node): boolean {
  return node.sysctl(FORWARDING[6]) !== undefined;
}

/** As sysctl(8) takes it. A name with a dot in it (eth0.5) only works between slashes. */
export function dotted(key: string): string {
  return key.includes(".") ? key : key.replaceAll("/", ".");
}

/** Interfaces through which others reach the host, while the default route leaves by another one. */
function sideEntrances(node: Node, out: readonly Link[]): Link[] {
  if (out.length === 0) return [];
  const pods = new Set(node.hostEnds().map(({ index }) => index));
  const inUse = new Set(node.routes(GATEWAY[4].family).flatMap((route) => leavingBy(node, route)));
  return node.links().filter((link) => {
    const isOther = !pods.has(link.index) && !out.includes(link) && link.name !== "lo";
    return isOther && link.up && inUse.has(link);
  });
}
