// What makes a machine of a node: the shell commands that its first process begins with, in namespaces of its own.
import { basename, join } from "node:path";

export interface Machine {
  readonly name: string;
  /** What stands for /etc, /opt and /var/lib. */
  readonly disk: string;
  /** What stands for /var/log. */
  readonly logs: string;
  /** A directory of files that all nodes may read: see `seen`. */
  readonly shared: string;
}

/** Where a node sees what is shared. */
const SHARED = "/mnt";

/** The kubelet insists on its own values of these, and the kernel has one of each for the whole machine. */
const MACHINE_SETTINGS = [
  ...["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"],
  ...["kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"],
];

/**
 * The first process is put at the top of every hierarchy of control groups, in the enclosure's. Else a node's containers
 * would be everybody's, and still be there after a reboot.
 */
const OWN_CGROUPS = `
for hierarchy in /sys/fs/cgroup/*; do
  mountpoint -q "$hierarchy" || continue
  own=$hierarchy/$CGROUP
  mkdir "$own"
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$own/$file" ] || cat "$hierarchy/$file" >"$own/$file"
  done
  echo $$ >"$own/cgroup.procs"
  mount --bind "$own" "$hierarchy"
done
set -- unshare --cgroup -- "$@"`;

/** For an Enclosure: the programs and libraries of this machine, a disk and a /run of its own, and its name. */
export function prepareMachine({ name, disk, logs, shared }: Machine): string {
  return [
    ...["etc", "opt", "var/lib"].map((path) => `mount --bind ${disk}/${path} /${path}`),
    `mount --bind ${logs} /var/log`,
    `mount --bind ${shared} ${SHARED}`,
    "mount -t tmpfs -o mode=0755 tmpfs /run",
    "mkdir /run/lock /run/settings",
    ...MACHINE_SETTINGS.map(keepSetting),
    `echo ${name} >/proc/sys/kernel/hostname`,
    OWN_CGROUPS,
  ].join("\n");
}

/** The path at which nodes see a shared file. */
export function seen(shared: string): string {
  return join(SHARED, basename(shared));
}

/** The command that keeps a daemon running, as systemd does: those of Kubernetes give up when others are slow to start. */
export function restarting(...command: readonly string[]): readonly string[] {
  return ["sh", "-c", 'while :; do "$@"; sleep 1; done', "sh", ...command];
}

function keepSetting(key: string): string {
  const standIn = `/run/settings/${key.replaceAll("/", ".")}`;
  return `cp /proc/sys/${key} ${standIn} && mount --bind ${standIn} /proc/sys/${key}`;
}
