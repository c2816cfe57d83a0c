// systemd's hands on our links: udev's .link files, and networkd's .network files.
import { basename } from "../../paths.ts";
import { type Ini, isYes, lastValue, matchesGlob, parseIni } from "../node/files.ts";
import type { Node } from "../node/node.ts";
import { type Check, error, type Finding, fine, found, warning } from "./check.ts";

/** In the order of precedence (systemd.link(5), systemd.network(5)). */
const UNIT_DIRECTORIES = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"].map(
  (at) => `${at}/systemd/network`,
);
const ENABLED = [
  "/etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
  "/etc/systemd/system/dbus-org.freedesktop.network1.service",
  "/run/systemd/netif/state",
];
/** What ends every name of a unit that lets go of our links: before all that systemd and others ship. */
const OWN_UNIT = "/etc/systemd/network/05-slash32";

const udev: Check = {
  title: "udev leaves host ends as they are",
  run(node) {
    const unit = firstMatching(node, ".link");
    if (unit === undefined) return fine("no .link file is for them");
    const value = (key: string) => lastValue(unit.ini, "Link", key);
    const findings: Finding[] = [];
    const why = (outcome: string) => `udev applies the first file that matches to each new link: ${outcome}`;
    if (value("MACAddress")) {
      const seen = `${unit.path} sets MACAddress=${value("MACAddress")} on host ends`;
      const outcome = "pods send to ee:ee:ee:ee:ee:ee, and nobody listens.";
      findings.push(error(seen, why(outcome), linkUnit(node)));
    }
    if (value("Name")) {
      const seen = `${unit.path} names host ends "${value("Name")}"`;
      findings.push(error(seen, why("DEL and GC look for another name."), linkUnit(node)));
    }
    if (value("MTUBytes")) {
      const seen = `${unit.path} sets MTUBytes=${value("MTUBytes")} on host ends`;
      const outcome = "the two ends differ, and large packets are lost.";
      findings.push(warning(seen, why(outcome), linkUnit(node)));
    }
    return found(findings, harmless(unit));
  },
};

const networkd: Check = {
  title: "systemd-networkd leaves host ends alone",
  run(node) {
    if (!isUsed(node)) return fine("not in use");
    const unit = firstMatching(node, ".network");
    if (unit === undefined) return fine("no .network file is for them");
    if (isYes(lastValue(unit.ini, "Link", "Unmanaged"))) return fine(`${unit.path} says Unmanaged=yes`);
    const why = "networkd removes the addresses and routes that it did not make: pods lose their way back.";
    const type = `printf '[Match]\\n${matchLines(node)}\\n[Link]\\nUnmanaged=yes\\n' > ${OWN_UNIT}.network && networkctl reload`;
    return found([error(`${unit.path} matches host ends`, why, type)], "");
  },
};

const foreignRoutes: Check = {
  title: "systemd-networkd leaves foreign routes alone",
  run(node) {
    if (!isUsed(node)) return fine("not in use");
    const directories = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map(
      (at) => `${at}/systemd/networkd.conf.d`,
    );
    const paths = ["/etc/systemd/networkd.conf", ...node.files.layered(directories, ".conf")];
    const values = paths.flatMap((path) => {
      return lastValue(parseIni(node.files.read(path) ?? ""), "Network", "ManageForeignRoutes") ?? [];
    });
    const last = values.at(-1);
    if (last !== undefined && !isYes(last)) return fine(`ManageForeignRoutes=${last}`);
    const seen = `systemd-networkd is in use, with ManageForeignRoutes=${last ?? "yes (its default)"}`;
    const why = "When it restarts it removes routes that it did not make: pods can be cut off by an upgrade.";
    const directory = "/etc/systemd/networkd.conf.d";
    const type =
      `mkdir -p ${directory} && printf '[Network]\\nManageForeignRoutes=no\\n' ` +
      `> ${directory}/slash32.conf && systemctl restart systemd-networkd`;
    return found([warning(seen, why, type)], "");
  },
};

export const SYSTEMD: readonly Check[] = [udev, networkd, foreignRoutes];

interface Unit {
  readonly path: string;
  readonly ini: Ini;
}

/** A name as a host end could have. */
export function sampleName(prefix: string): string {
  return `${prefix}0123456789a`;
}

/** The one that systemd would apply to a host end; an empty one masks its name. */
function firstMatching(node: Node, ending: string): Unit | undefined {
  const names = node.prefixes().map(sampleName);
  for (const path of node.files.layered(UNIT_DIRECTORIES, ending)) {
    const ini = parseIni(node.files.read(path) ?? "");
    if (names.some((name) => matches(ini, name))) return { path, ini };
  }
  return undefined;
}

/** What is known of a host end, for each key that can be judged; each key there must hold. */
function matches(ini: Ini, name: string): boolean {
  const match = ini.get("Match");
  // Without [Match] a .network is for all (systemd 243 and older), a .link for none that matters.
  if (match === undefined || match.size === 0) return false;
  const facts: Readonly<Record<string, string | undefined>> = {
    Name: name,
    OriginalName: name,
    Driver: "veth",
    Kind: "veth",
    Type: "ether",
    MACAddress: "ee:ee:ee:ee:ee:ee",
    // It has none: no bus, no hardware address.
    Path: undefined,
    PermanentMACAddress: undefined,
    Property: undefined,
    SSID: undefined,
    BSSID: undefined,
    WLANInterfaceType: undefined,
  };
  return [...match].every(([key, values]) => !(key in facts) || satisfies(facts[key], values.at(-1) ?? ""));
}

/** A list of patterns; "!" before it turns it round. An absent fact satisfies no pattern. */
function satisfies(fact: string | undefined, list: string): boolean {
  if (list === "") return true;
  const isNegated = list.startsWith("!");
  const patterns = list.slice(isNegated ? 1 : 0).split(/\s+/);
  const matched =
    fact !== undefined && patterns.some((pattern) => matchesGlob(pattern.toLowerCase(), fact.toLowerCase()));
  return matched !== isNegated;
}

/** The name and the MAC were given when the link was made, and such udev keeps. */
function harmless({ path, ini }: Unit): string {
  const policy = lastValue(ini, "Link", "MACAddressPolicy");
  return policy
    ? `MACAddressPolicy=${policy} in ${basename(path)} spares a MAC that was given at creation, as ours is`
    : `${basename(path)} changes nothing of theirs`;
}

function linkUnit(node: Node): string {
  const lines = node.prefixes().map((prefix) => `${prefix}*`);
  return `printf '[Match]\\nOriginalName=${lines.join(" ")}\\n[Link]\\nMACAddressPolicy=none\\n' > ${OWN_UNIT}.link`;
}

function matchLines(node: Node): string {
  return `Name=${node
    .prefixes()
    .map((prefix) => `${prefix}*`)
    .join(" ")}`;
}

function isUsed({ files }: Node): boolean {
  return ENABLED.some((path) => files.exists(path));
}
