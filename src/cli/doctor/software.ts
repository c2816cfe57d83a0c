// Other software that takes links, routes and packets for its own: seen in its files, before it strikes.

import { lastValue, matchesGlob, parseIni } from "../node/files.ts";
import type { Node } from "../node/node.ts";
import { type Check, counted, error, type Finding, fine, found, warning } from "./check.ts";
import { podPrefixes } from "./ranges.ts";
import { SYSTEMD, sampleName } from "./systemd.ts";

const NETWORK_MANAGER = "/etc/NetworkManager";
const UDEV_RULES = ["/etc", "/run", "/usr/lib", "/lib"].map((at) => `${at}/udev/rules.d`);

const networkManager: Check = {
  title: "NetworkManager leaves host ends alone",
  run(node) {
    const { files } = node;
    const enabled = "/etc/systemd/system/multi-user.target.wants/NetworkManager.service";
    if (!files.exists("/run/NetworkManager") && !files.exists(enabled)) return fine("not in use");
    const name = sampleName(node.prefixes()[0] ?? "");
    const reason = unmanagedBy(node, name);
    if (reason) return fine(reason);
    const patterns = node.prefixes().map((prefix) => `interface-name:${prefix}*`);
    const seen = `NetworkManager is in use, and no unmanaged-devices names ${node.prefixes().join("*, ")}*`;
    const why =
      "It takes new links over and flushes what it did not put there: addresses, routes, neighbours.";
    const type =
      `printf '[keyfile]\\nunmanaged-devices+=${patterns.join(";")}\\n' ` +
      `> ${NETWORK_MANAGER}/conf.d/slash32.conf && systemctl reload NetworkManager`;
    return found([warning(seen, why, type)], "");
  },
};

const firewalld: Check = {
  title: "firewalld lets pods through",
  run(node) {
    const { files } = node;
    const signs = [
      "/etc/systemd/system/multi-user.target.wants/firewalld.service",
      "/etc/systemd/system/dbus-org.fedoraproject.FirewallD1.service",
      "/run/firewalld",
    ];
    if (!signs.some((path) => files.exists(path))) return fine("not in use");
    const trusted = files.read("/etc/firewalld/zones/trusted.xml") ?? "";
    const missing = podPrefixes(node).filter((prefix) => !trusted.includes(`"${prefix}"`));
    const why = "Its zones reject what is forwarded between interfaces they were not told of: pods time out.";
    const findings = missing.map((prefix) => {
      const seen = `firewalld is in use, and its zone trusted does not have ${prefix}`;
      const type = `firewall-cmd --permanent --zone=trusted --add-source=${prefix} && firewall-cmd --reload`;
      return warning(seen, why, type);
    });
    return found(findings, "its zone trusted has all ranges");
  },
};

const ufw: Check = {
  title: "ufw lets pods through",
  run(node) {
    const { files } = node;
    if (!/^\s*ENABLED=yes/im.test(files.read("/etc/ufw/ufw.conf") ?? "")) return fine("not in use");
    const policy = /^\s*DEFAULT_FORWARD_POLICY="?(\w+)/m.exec(files.read("/etc/default/ufw") ?? "")?.[1];
    if (policy === "ACCEPT") return fine("its forward policy is ACCEPT");
    const rules = ["user.rules", "user6.rules"]
      .map((name) => files.read(`/etc/ufw/${name}`) ?? "")
      .join("\n");
    const allowed = (option: string, prefix: string) =>
      rules.split("\n").some((line) => {
        return line.includes("forward") && line.includes(`${option} ${prefix}`) && line.includes("ACCEPT");
      });
    const why = "What no rule of its own allows to be forwarded is dropped: pods reach nobody.";
    const findings = podPrefixes(node)
      .filter((prefix) => !allowed("-s", prefix) || !allowed("-d", prefix))
      .map((prefix) => {
        const seen = `ufw is enabled with DEFAULT_FORWARD_POLICY=${policy ?? "DROP"}, and no route rule for ${prefix}`;
        return error(seen, why, `ufw route allow from ${prefix} && ufw route allow to ${prefix}`);
      });
    return found(findings, "its route rules allow all ranges");
  },
};

const otherNetworks: Check = {
  title: "no other network uses our names",
  run(node) {
    const prefixes = node.prefixes();
    const strangers = node.links().filter(({ name, alias }) => {
      return prefixes.some((prefix) => name.startsWith(prefix)) && !alias?.startsWith("slash32 ");
    });
    const known = new Set(node.holdings().map(({ hostEnd }) => hostEnd));
    const others = strangers.filter(({ name }) => !known.has(name));
    const findings: Finding[] = [];
    if (others.length > 0) {
      const [first] = others;
      const seen = `${counted(others.length, "interface")} named as host ends are not ours: ${first?.name}${others.length > 1 ? ", …" : ""}`;
      const why = "Two networks with one prefix take each other's interfaces for leftovers.";
      findings.push(warning(seen, why, anotherPrefix(node)));
    }
    if (prefixes.includes("cali") && hasFelix(node)) {
      const seen = "Calico's agent (Felix) is on this node, and our host ends begin with cali as its do";
      const why = "Felix takes every cali* interface for its own and removes the routes it did not make.";
      findings.push(error(seen, why, anotherPrefix(node)));
    }
    return found(findings, `${prefixes.join("*, ")}* are ours alone`);
  },
};

export const SOFTWARE: readonly Check[] = [...SYSTEMD, networkManager, firewalld, ufw, otherNetworks];

/** Why NetworkManager leaves the interface alone; `undefined` when it does not. */
function unmanagedBy({ files }: Node, name: string): string | undefined {
  const directories = ["/etc/NetworkManager", "/run/NetworkManager", "/usr/lib/NetworkManager"].map(
    (at) => `${at}/conf.d`,
  );
  for (const path of [`${NETWORK_MANAGER}/NetworkManager.conf`, ...files.layered(directories, ".conf")]) {
    const ini = parseIni(files.read(path) ?? "");
    const lists = ["unmanaged-devices", "unmanaged-devices+"].map((key) => lastValue(ini, "keyfile", key));
    const devices = [...ini]
      .filter(([section]) => section.startsWith("device"))
      .filter(([section]) => /^(0|no|false)$/i.test(lastValue(ini, section, "managed") ?? ""))
      .map(([section]) => lastValue(ini, section, "match-device"));
    if ([...lists, ...devices].some((list) => list !== undefined && names(list, name))) return path;
  }
  const rule = files.layered(UDEV_RULES, ".rules").find((path) => {
    const lines = (files.read(path) ?? "").split("\n");
    return lines.some((line) => line.includes("veth") && /NM_UNMANAGED\}="1"/.test(line));
  });
  return rule;
}

/** A list as in NetworkManager.conf(5), "Device List Format"; `except:` wins. */
function names(list: string, name: string): boolean {
  const specs = list.split(/[;,]/).map((spec) => spec.trim());
  const applies = (spec: string) => {
    const [, kind = "", pattern = ""] = /^(?:(interface-name|driver|type):)?=?(.*)$/.exec(spec) ?? [];
    if (kind === "driver" || kind === "type") return matchesGlob(pattern, "veth");
    return pattern !== "" && matchesGlob(pattern, name);
  };
  const excepted = specs
    .filter((spec) => spec.startsWith("except:"))
    .some((spec) => applies(spec.slice("except:".length)));
  return !excepted && specs.some((spec) => !spec.startsWith("except:") && applies(spec));
}

function hasFelix({ files, confDir }: Node): boolean {
  const signs = ["/var/lib/calico/nodename", "/var/run/calico/bird.ctl", "/run/calico/bird.ctl"];
  const lists = confDir.files.list(confDir.path).some((name) => /calico|canal/.test(name));
  return lists || signs.some((path) => files.exists(path));
}

/** A key put in behind our type: what is added is valid whatever stands around it. */
function anotherPrefix(node: Node): string {
  const path = node.ownParts()[0]?.file.path;
  const edit = `sed -i 's/"type": *"slash32"/&, "hostInterfacePrefix": "pod"/'`;
  return path ? `${edit} ${path} # for pods to come; then drain the node` : `${edit} <configuration>`;
}
