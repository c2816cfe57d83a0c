// What all of `slash32 ipam` looks at: the stores below one directory, and the host they speak of.
import { type Address, hostPrefix, samePrefix } from "../../address.ts";
import { type Attachment, attachmentKey } from "../../attachment.ts";
import { leasesInKernel } from "../../cni/witness.ts";
import { ownerOf } from "../../datapath/endpoint.ts";
import { Sandboxes } from "../../datapath/find-namespace.ts";
import { listHostEnds } from "../../datapath/host.ts";
import { Namespace } from "../../datapath/netns.ts";
import { decodeAddress, listAddresses } from "../../datapath/rtnetlink/address.ts";
import { decodeLink, getLinkByIndex, type Link } from "../../datapath/rtnetlink/link.ts";
import { listDirectory } from "../../directories.ts";
import { findStatus } from "../../files.ts";
import type { RangeSet } from "../../ipam/range.ts";
import { Store } from "../../ipam/store.ts";
import { join } from "../../paths.ts";

export interface Scope {
  readonly stateDir: string;
  /** The one network to look at; absent for all. */
  readonly network: string | undefined;
  /** What the network may lease, as far as a configuration tells. */
  readonly sets: readonly RangeSet[];
}

/** The other end of a cable, as it is in the sandbox. */
export interface SandboxEnd {
  readonly path: string;
  readonly link: Link;
  /** Those that are for itself alone, as ADD gives them. */
  readonly addresses: readonly Address[];
}

/** Open for one command's time. */
export class Scene implements Disposable {
  readonly scope: Scope;
  readonly host = Namespace.current();
  readonly #sandboxes = new Sandboxes(this.host);

  constructor(scope: Scope) {
    this.scope = scope;
  }

  /** Those to look at. */
  networks(): string[] {
    const { network } = this.scope;
    return network === undefined ? this.knownNetworks() : [network];
  }

  /** Networks that have a store here, or had one; and those that host ends tell of. */
  knownNetworks(): string[] {
    const { stateDir } = this.scope;
    const stored = findStatus(stateDir)
      ? listDirectory(stateDir).filter((name) => hasStore(stateDir, name))
      : [];
    const owners = listHostEnds(this.host).flatMap(({ name, alias }) => ownerOf(name, alias) ?? []);
    return [...new Set([...stored, ...owners.map(({ attachment }) => attachment.network)])].sort();
  }

  /** The network's store, for who changes it: one that is lost begins with what the kernel knows. */
  open(network: string): Store {
    return Store.open(this.scope.stateDir, network, () => leasesInKernel(this.host, network));
  }

  /** The network's host ends whose owner can be told, by the owner's key. */
  ends(network: string): Map<string, { attachment: Attachment; pod: string | undefined; link: Link }> {
    return new Map(
      listHostEnds(this.host, network).flatMap((link) => {
        const owner = ownerOf(link.name, link.alias);
        return owner ? [[attachmentKey(owner.attachment), { ...owner, link }] as const] : [];
      }),
    );
  }

  /** Where the other end of a cable is; `undefined` when no process and no path leads there. */
  sandboxOf(link: Link): string | undefined {
    return this.#sandboxes.pathOf(link);
  }

  /** The other end itself. `undefined` when it cannot be reached, or is just going. */
  sandboxEnd(link: Link): SandboxEnd | undefined {
    const path = this.sandboxOf(link);
    if (path === undefined || link.peerIndex === undefined) return undefined;
    try {
      using sandbox = Namespace.open(path);
      const [message] = sandbox.netlink.execute(getLinkByIndex(link.peerIndex));
      if (message === undefined) return undefined;
      const end = decodeLink(message);
      const held = ([4, 6] as const)
        .flatMap((family) => sandbox.netlink.dump(listAddresses(family)).map(decodeAddress))
        .filter(({ index, prefix }) => index === end.index && samePrefix(prefix, hostPrefix(prefix.address)));
      return { path, link: end, addresses: held.map(({ prefix }) => prefix.address) };
    } catch {
      return undefined; // it went away meanwhile
    }
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

/** Whether a directory is, or was, a network's store. */
export function hasStore(stateDir: string, network: string): boolean {
  return ["leases.db", "lock"].some((file) => findStatus(join(stateDir, network, file)));
}
