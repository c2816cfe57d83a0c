// The stage: two hosts on one link and three pods (drawing.ts).
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";

// In scripts/lab.sh all of /run is a tmpfs that no other process sees.
const DIRECTORY = "/run/slash32-demo";

export interface Host {
  readonly name: string;
  /** On the link between the hosts, by its interface ens192. */
  readonly address: string;
  /** What its pods' addresses are taken from. */
  readonly podRange: string;
}

export interface Pod {
  /** Of its namespace, and its container ID. */
  readonly name: string;
  readonly host: Host;
  /** What it is expected to get: the first two addresses of a range are never leased. */
  readonly address: string;
}

export const host0: Host = { name: "host0", address: "192.168.1.32", podRange: "10.20.1.0/24" };
export const host1: Host = { name: "host1", address: "192.168.1.16", podRange: "10.20.2.0/24" };
export const pod0: Pod = { name: "pod0", host: host0, address: "10.20.1.2" };
export const pod1: Pod = { name: "pod1", host: host0, address: "10.20.1.3" };
export const pod2: Pod = { name: "pod2", host: host1, address: "10.20.2.2" };
export const hosts = [host0, host1] as const;
export const pods = [pod0, pod1, pod2] as const;

/**
 * A directory for what the demo writes, with each host's network configuration in it. Disposing deletes it, and
 * the namespaces of the hosts and pods with all that is in them. Throws outside of scripts/lab.sh, where those
 * names, and the links that are made on the way, would be the machine's.
 */
export class Lab implements Disposable {
  readonly directory = DIRECTORY;

  constructor() {
    const links = readdirSync("/sys/class/net").filter((name) => name !== "lo");
    if (links.length > 0) {
      throw new Error(
        `Cannot show this here: the network has interfaces (${links.join(", ")}); npm run demo makes its own`,
      );
    }
    mkdirSync(this.directory);
    for (const host of hosts) writeFileSync(join(this.directory, `${host.name}.json`), netconf(host));
  }

  [Symbol.dispose](): void {
    for (const { name } of [...pods, ...hosts]) execaSync("ip", ["netns", "delete", name], { reject: false });
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function netconf({ name, podRange }: Host): string {
  return `${JSON.stringify({
    cniVersion: "1.1.0",
    name: "podnet",
    type: "slash32",
    stateDir: join(DIRECTORY, name),
    ipam: { type: "slash32", ranges: [[{ subnet: podRange }]] },
  })}\n`;
}
