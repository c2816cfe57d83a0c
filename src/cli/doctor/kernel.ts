// What the kernel has to offer.
import { gunzipSync } from "fflate/browser";
import { Files } from "../node/files.ts";
import type { Node } from "../node/node.ts";
import { output } from "../program.ts";
import { type Check, counted, error, fine, found, unable, type Verdict, warning } from "./check.ts";

/** clone3 and pidfd_open, by which IPAM plugins are run; before 5.0 RTM_GETNEIGH told of all neighbours, not of one. */
const OLDEST_KERNEL = [5, 3] as const;
// include/uapi/linux/capability.h
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;
/** The kernel's own files are where they are, whatever the root. */
const HERE = new Files("/");

const privileges: Check = {
  title: "we may look and wire",
  run() {
    const status = HERE.read("/proc/thread-self/status") ?? "";
    const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
    const missing = Object.entries(CAPABILITIES).filter(([, bit]) => ((held >> BigInt(bit)) & 1n) === 0n);
    if (missing.length === 0) return fine("CAP_NET_ADMIN, CAP_SYS_ADMIN");
    const names = missing.map(([name]) => name).join(" and ");
    const why = "Sandboxes cannot be entered, nor links made: what follows is incomplete.";
    return found([error(`this process is without ${names}`, why, "sudo slash32 doctor")], "");
  },
};

const version: Check = {
  title: "the kernel is recent enough",
  run() {
    const release = (HERE.read("/proc/sys/kernel/osrelease") ?? "").trim();
    const [major = 0, minor = 0] = release.split(".").map(Number);
    const [wantedMajor, wantedMinor] = OLDEST_KERNEL;
    if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return fine(release);
    const wanted = OLDEST_KERNEL.join(".");
    const why = `Questions that CHECK asks are understood since Linux ${wanted}.`;
    return found([error(`Linux ${release}`, why, "apt-get install linux-image-amd64 && reboot")], "");
  },
};

const veth: Check = {
  title: "veth pairs can be made",
  run(node) {
    const present = node.links().filter(({ kind }) => kind === "veth").length;
    if (present > 0) return fine(`${counted(present, "veth end")} on the host`);
    const feature = lookUp(node, "CONFIG_VETH", "veth");
    if (feature.state === "present") return fine(feature.seen);
    if (feature.state === "unknown") return vethOnTrial();
    const why = "ADD cannot make the cable between the host and a pod: no pod gets a network.";
    return found([error(`the kernel has no veth (${feature.seen})`, why, "modprobe veth")], "");
  },
};

const ipv6: Check = {
  title: "IPv6 where a network wants it",
  run(node) {
    const present = node.sysctl("net/ipv6/conf/all/forwarding") !== undefined;
    if (present) return fine("present");
    if (!node.wants(6)) return fine("absent; no network wants it");
    const why = "ADD fails for every pod that is to get an IPv6 address.";
    const type = "sed -i 's/ipv6.disable=1//' /etc/default/grub && update-grub && reboot";
    return found([error("the kernel has no IPv6, and a network has an IPv6 range", why, type)], "");
  },
};

const nftables: Check = {
  title: "nf_tables for plugins of the chain",
  run(node) {
    const chained = node
      .ownParts()
      .flatMap(({ file }) => file.plugins)
      .map(({ type }) => type);
    const users = chained.filter((type) => ["portmap", "firewall"].includes(type));
    const feature = lookUp(node, "CONFIG_NF_TABLES", "nf_tables");
    if (feature.state === "present") return fine(feature.seen);
    if (users.length === 0) return fine(`${feature.seen}; nothing configured needs it`);
    if (feature.state === "unknown") return unable(feature.seen);
    const why = `The chain's ${users.join(" and ")} cannot make its rules.`;
    return found([warning(`the kernel has no nf_tables (${feature.seen})`, why, "modprobe nf_tables")], "");
  },
};

export const KERNEL: readonly Check[] = [privileges, version, veth, ipv6, nftables];

interface Feature {
  readonly state: "present" | "absent" | "unknown";
  readonly seen: string;
}

/** Built in, loaded, or lying ready to be loaded when it is first asked for. */
function lookUp({ files }: Node, option: string, module: string): Feature {
  if (HERE.exists(`/sys/module/${module}`)) return { state: "present", seen: `module ${module} is loaded` };
  const release = (HERE.read("/proc/sys/kernel/osrelease") ?? "").trim();
  const config = kernelConfig(files, release);
  const value = new RegExp(`^${option}=([ym])$`, "m").exec(config ?? "")?.[1];
  if (value === "y") return { state: "present", seen: `${option}=y` };
  if (config !== undefined && value === undefined) return { state: "absent", seen: `${option} is not set` };
  const directories = [`/lib/modules/${release}`, `/usr/lib/modules/${release}`];
  const lists = directories.flatMap((at) => [`${at}/modules.dep`, `${at}/modules.builtin`]);
  const texts = lists.flatMap((path) => files.read(path) ?? []);
  if (texts.some((text) => text.includes(`/${module}.ko`))) {
    return { state: "present", seen: `module ${module} is loaded when it is first needed` };
  }
  if (texts.length === 0) return { state: "unknown", seen: "neither /proc/config.gz nor /lib/modules tell" };
  return { state: "absent", seen: `no module ${module} in /lib/modules/${release}` };
}

function kernelConfig(files: Files, release: string): string | undefined {
  try {
    return new TextDecoder().decode(gunzipSync(HERE.bytes("/proc/config.gz")));
  } catch {
    return files.read(`/boot/config-${release}`);
  }
}

/** The last resort: a pair in a namespace that a child makes for itself, and that ends with it. */
function vethOnTrial(): Verdict {
  const trial = output(["unshare", "--net", "ip", "link", "add", "type", "veth"]);
  if (trial.kind === "missing") return unable(`no file tells, and ${trial.reason}`);
  if (trial.kind === "done") return fine("made one in a namespace of its own");
  const why = "ADD cannot make the cable between the host and a pod: no pod gets a network.";
  return found([error(`a trial was refused: ${trial.reason}`, why, "modprobe veth")], "");
}
