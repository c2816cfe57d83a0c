// The container runtime's part: a namespace for each pod, and the plugin started as the CNI specification says.
import { dirname, join } from "node:path";
import type { Host, Pod } from "./lab.ts";

const ROOT = join(import.meta.dirname, "../..");
/** What `slash32` means in everything typed: bin/slash32, or what the variable of that name says. */
const EXECUTABLE = process.env.SLASH32 ?? join(ROOT, "bin/slash32");

/** The search path of everything typed. */
export const PATH = [
  dirname(EXECUTABLE),
  join(ROOT, "node_modules/.bin"),
  process.env.PATH,
  "/usr/sbin:/sbin",
].join(":");

/** ADD. The result is kept, as a runtime keeps it, and shown through a filter of jq. */
export function addCommand(pod: Pod, filter = "."): string {
  return `${call("ADD", pod)} <${pod.host.name}.json | tee ${pod.name}.result | jq ${filter}`;
}

/** CHECK, with the kept result beside the configuration. Prints nothing, or an error object. */
export function checkCommand(pod: Pod): string {
  const configuration = `jq -s '.[0] + {prevResult: .[1]}' ${pod.host.name}.json ${pod.name}.result`;
  return `${configuration} |\n${call("CHECK", pod)}`;
}

/** CHECK of what is known to be wrong: shows the error's code and message. */
export function failingCheckCommand(pod: Pod): string {
  return `${checkCommand(pod)} | jq -r '.code, .msg'`;
}

export function delCommand(pod: Pod): string {
  return `${call("DEL", pod)} <${pod.host.name}.json`;
}

/** The host's leases, by the very database that ADD and DEL write. */
export function leasesCommand({ name }: Host): string {
  const query = "SELECT container_id, if_name, host_end FROM attachment";
  return `bun -p 'new (require("bun:sqlite").Database)("${name}/podnet/leases.db").query("${query}").all()'`;
}

function call(verb: string, { name, host }: Pod): string {
  return [
    `CNI_COMMAND=${verb} CNI_CONTAINERID=${name} CNI_NETNS=/run/netns/${name} CNI_IFNAME=eth0 \\`,
    `CNI_ARGS='K8S_POD_NAMESPACE=demo;K8S_POD_NAME=${name}' CNI_PATH=/opt/cni/bin \\`,
    `ip netns exec ${host.name} slash32`,
  ].join("\n");
}
