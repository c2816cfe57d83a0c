// Where the leases are kept, and whether there are any left to give.
import { CniError, errorObject } from "../../cni/error.ts";
import { nodePath, readNode } from "../../cni/node.ts";
import { fileSystemOf } from "../../files.ts";
import { leasableCount, podCidrFamily, type RangeSet, rangeName } from "../../ipam/range.ts";
import { dirname, join } from "../../paths.ts";
import { configs } from "../node/configuration.ts";
import { Files } from "../node/files.ts";
import type { Network } from "../node/node.ts";
import { agreed, repairCommand } from "./agreement.ts";
import { type Check, counted, error, type Finding, found, unable, warning } from "./check.ts";
import { ifRight, rangeSetsOf } from "./ranges.ts";

// include/uapi/linux/magic.h
const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;
const LITTLE_ROOM_BYTES = 4 << 20;
/** Percent of a range. */
const NEARLY_FULL = 90;
/** State directories are given as they are seen from here. */
const HERE = new Files("/");

const tmpfs: Check = {
  title: "the leases are on a tmpfs",
  run(node) {
    const findings = node.stateDirs().flatMap((directory): Finding[] => {
      const { magic } = fileSystemOf(existing(directory));
      if (magic === TMPFS_MAGIC || magic === RAMFS_MAGIC) return [];
      const why = "After a reboot the links are gone and the leases are not: addresses are lost for ever.";
      const mount = `mkdir -p ${directory} && mount -t tmpfs -o mode=0700,size=64m tmpfs ${directory}`;
      return [warning(`${directory} is not on a tmpfs`, why, `${mount} # while there are no pods`)];
    });
    return found(findings, node.stateDirs().join(", "));
  },
};

const room: Check = {
  title: "there is room for leases",
  run(node) {
    const findings = node.stateDirs().flatMap((directory): Finding[] => {
      const { free, isFull } = fileSystemOf(existing(directory));
      if (!isFull && free >= LITTLE_ROOM_BYTES) return [];
      const left = isFull && free > 0 ? "no file" : `${Math.floor(free / 1024)} KiB`;
      const why = "ADD writes a lease before it wires: without room no pod starts.";
      const seen = `${directory} has room for ${left} more`;
      return [(isFull ? error : warning)(seen, why, `du -xah ${existing(directory)} | sort -h | tail`)];
    });
    return found(findings, "yes");
  },
};

const permissions: Check = {
  title: "only root reads and writes them",
  run(node) {
    const paths = node
      .networks()
      .flatMap(({ stateDir, name, stored }) =>
        stored.kind === "none"
          ? []
          : [join(stateDir, name), join(stateDir, name, "leases.db"), join(stateDir, name, "lock")],
      );
    const findings = paths.flatMap((path): Finding[] => {
      const stats = HERE.stat(path);
      if (stats === undefined) return [];
      const mode = (stats.mode & 0o777).toString(8).padStart(4, "0");
      const why = "Who can write here decides which pod has which address.";
      const wanted = stats.kind === "directory" ? "700" : "600";
      if (stats.uid !== 0)
        return [error(`${path} belongs to user ${stats.uid}`, why, `chown root:root ${path}`)];
      if ((stats.mode & 0o022) !== 0)
        return [error(`${path} can be written by others (${mode})`, why, `chmod ${wanted} ${path}`)];
      if (stats.kind === "directory" && (stats.mode & 0o055) !== 0) {
        const why = "The names of pods and containers are for all to read.";
        return [warning(`${path} is open to others (${mode})`, why, `chmod ${wanted} ${path}`)];
      }
      return [];
    });
    return found(findings, counted(paths.length, "file"));
  },
};

const readable: Check = {
  title: "every store can be read",
  run(node) {
    const broken = node.networks().flatMap(({ name, stateDir, stored }) => {
      return stored.kind === "unreadable" ? [{ name, stateDir, ...stored }] : [];
    });
    const denied = broken.find(({ obstacle }) => obstacle === "denied");
    if (denied) return unable(denied.seen);
    const findings = broken.map(({ name, stateDir, seen, obstacle }) => {
      const directory = join(stateDir, name);
      const remedies = {
        damaged: repairCommand(stateDir),
        busy: `fuser -v ${join(directory, "lock")} # and end who holds it`,
        denied: "sudo slash32 doctor",
        strange: `mv ${directory} ${directory}.old # when no pods are left; or return to the slash32 that wrote it`,
      };
      return error(seen, `Network ${name}: ADD and DEL fail, or wait.`, remedies[obstacle]);
    });
    const pods = counted(node.podCount(), "pod");
    return found(findings, `${counted(node.networks().length, "network")}, ${pods}`);
  },
};

const nodeFile: Check = {
  title: "node.json is right",
  run(node) {
    const findings: Finding[] = [];
    for (const directory of node.stateDirs()) {
      const refusal = refusalOf(() => readNode(directory));
      if (refusal === undefined) continue;
      const why = "ADD reads the node's pod CIDR and MTU there: it fails until the file is right.";
      const example = `echo '{"podCIDRs":["10.20.1.0/24"]}' > ${nodePath(directory)} # with the node's own CIDR`;
      findings.push(error(refusal, why, example));
    }
    const present = node.stateDirs().filter((directory) => HERE.exists(nodePath(directory)));
    return found(findings, present.map(nodePath).join(", ") || "there is none; nothing in it is needed");
  },
};

const podCidr: Check = {
  title: "the node's pod CIDR is known",
  run(node) {
    const asking = node.networks().filter(({ part }) => part !== undefined);
    const findings = asking.flatMap(({ name, document, stateDir }): Finding[] => {
      const wanted = configs(document.ipam).flatMap(({ subnet }) => podCidrFamily(subnet) ?? []);
      const node_ = wanted.length > 0 ? ifRight(() => readNode(stateDir)) : undefined;
      // What is wrong with the file is told above.
      const unknown = node_ && wanted.find((family) => node_.podCidrs[family] === undefined);
      if (unknown === undefined) return [];
      const seen = `network ${name} asks for the node's IPv${unknown} pod CIDR, and ${nodePath(stateDir)} has none`;
      const why = "ADD has no range to lease from: no pod starts.";
      const command = `kubectl get node $(hostname) -o json | jq '{podCIDRs: .spec.podCIDRs}' > ${nodePath(stateDir)}`;
      return [error(seen, why, command)];
    });
    return found(findings, "where it is asked for");
  },
};

const fill: Check = {
  title: "there are addresses left to give",
  run(node) {
    const findings: Finding[] = [];
    const levels: string[] = [];
    for (const network of node.networks()) {
      const sets = rangeSetsOf(network);
      if (typeof sets === "string") return unable(sets);
      for (const set of sets) {
        const { percent, used, total } = level(set, network);
        const name = set.map(rangeName).join(" or ");
        levels.push(`${used} of ${total} in ${name}`);
        if (percent < NEARLY_FULL) continue;
        const seen = `${used} of ${total} addresses of ${name} are leased (${Math.floor(percent)} %)`;
        const type = `${repairCommand(network.stateDir)} --dry-run # finds leases without a pod; else add a range in ${network.part?.file.path}`;
        const why =
          percent >= 100 ? "No further pod gets an address." : "When they are gone, no pod gets one.";
        findings.push((percent >= 100 ? error : warning)(seen, why, type));
      }
    }
    return found(findings, levels.join(", ") || "no ranges of our own");
  },
};

export const STATE: readonly Check[] = [tmpfs, room, permissions, readable, nodeFile, podCidr, fill, agreed];

function level(set: RangeSet, { stored }: Network): { percent: number; used: number; total: bigint } {
  const held = stored.kind === "read" ? stored.holdings.flatMap(({ addresses }) => addresses) : [];
  const used = held.filter(({ family, value }) => {
    return set.some((range) => range.family === family && value >= range.first && value <= range.last);
  }).length;
  const total = leasableCount(set);
  return { used, total, percent: total === 0n ? 100 : (100 * used) / Number(total) };
}

/** A directory that is made by the first ADD is made in this one. */
function existing(directory: string): string {
  let path = directory;
  while (!HERE.exists(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

function refusalOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof CniError) return errorObject(error, "1.1.0").msg;
    throw error;
  }
}
