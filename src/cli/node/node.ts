// The node as the checks see it: its files, its kernel, its networks. Everything is read once, when first asked for.
import type { Address, Family } from "../../address.ts";
import { stateDirOf } from "../../cni/endpoint.ts";
import { DEFAULT_PREFIX, DEFAULT_STATE_DIR, type NetconfDocument } from "../../cni/netconf.ts";
import { Sandboxes } from "../../datapath/find-namespace.ts";
import { Namespace } from "../../datapath/netns.ts";
import { decodeLink, type Link, listLinks } from "../../datapath/rtnetlink/link.ts";
import {
  decodeRoute,
  listRoutes,
  type Route,
  RT_TABLE_MAIN,
  RTN_UNICAST,
} from "../../datapath/rtnetlink/route.ts";
import { readSysctl } from "../../datapath/sysctl.ts";
import { listDirectory } from "../../directories.ts";
import { findStatus } from "../../files.ts";
import type { Holding } from "../../ipam/lease.ts";
import { podCidrFamily } from "../../ipam/range.ts";
import { join } from "../../paths.ts";
import { addressesOf } from "./addresses.ts";
import { type ConfFile, configs, type OwnPart, ownPart, type Place, readConfDir } from "./configuration.ts";
import { Files } from "./files.ts";
import { readStored, type Stored } from "./store-file.ts";

/** Where to look. What is given here is taken as it is; what is not has its usual place below `root`. */
export interface Whereabouts {
  readonly root: string;
  readonly cniConfDir: string | undefined;
  readonly cniBinDir: string | undefined;
  readonly stateDir: string | undefined;
}

/** A network that a configuration names, or that has a store. */
export interface Network {
  readonly name: string;
  /** Absent when no usable configuration names it: its pods are of yesterday's. */
  readonly part: OwnPart | undefined;
  /** The configuration's keys, or what every configuration begins with. */
  readonly document: NetconfDocument;
  /** Where it is seen from here: below the root. */
  readonly stateDir: string;
  readonly stored: Stored;
}

const ETC = "/etc/cni/net.d";
const OPT = "/opt/cni/bin";

export class Node implements Disposable {
  readonly files: Files;
  readonly confDir: Place;
  readonly binDir: Place;
  readonly host: Namespace;
  readonly #stateDir: string | undefined;
  readonly #known = new Map<string, unknown>();

  constructor({ root, cniConfDir, cniBinDir, stateDir }: Whereabouts) {
    this.files = new Files(root);
    const here = new Files("/");
    this.confDir = cniConfDir ? { files: here, path: cniConfDir } : { files: this.files, path: ETC };
    this.binDir = cniBinDir ? { files: here, path: cniBinDir } : { files: this.files, path: OPT };
    this.host = Namespace.current();
    this.#stateDir = stateDir;
  }

  confFiles(): ConfFile[] {
    return this.#once("conf", () => readConfDir(this.confDir));
  }

  /** Our part of every configuration that has one. */
  ownParts(): OwnPart[] {
    return this.#once("parts", () => this.confFiles().flatMap((file) => ownPart(file) ?? []));
  }

  /** By configuration, then those that only have a store. */
  networks(): Network[] {
    return this.#once("networks", () => {
      const usable = this.ownParts().filter(({ netconf }) => netconf !== undefined);
      const networks = new Map<string, Network>();
      for (const part of usable) {
        const { document, name } = part.netconf as NonNullable<OwnPart["netconf"]>;
        if (!networks.has(name)) networks.set(name, this.#network(name, document, part));
      }
      for (const directory of this.stateDirs()) {
        for (const name of storesIn(directory)) {
          if (networks.has(name)) continue;
          const document = { name, type: "slash32", stateDir: directory } as NetconfDocument;
          networks.set(name, { ...this.#network(name, document, undefined), stateDir: directory });
        }
      }
      return [...networks.values()];
    });
  }

  /** Directories that hold stores, or would; as they are seen from here. */
  stateDirs(): string[] {
    const configured = this.ownParts().flatMap(({ netconf }) => netconf?.document ?? []);
    const directories = configured.map((document) => this.#seen(stateDirOf(document)));
    return [...new Set(directories.length > 0 ? directories : [this.#seen(DEFAULT_STATE_DIR)])];
  }

  holdings(): Holding[] {
    return this.networks().flatMap(({ stored }) => (stored.kind === "read" ? stored.holdings : []));
  }

  /** Of the pods, whoever gave them. */
  podAddresses(): Address[] {
    return this.holdings().flatMap((holding) => addressesOf(holding));
  }

  /** How many pods the stores know. */
  podCount(): number {
    return this.holdings().length;
  }

  /** Beginnings of host end names. */
  prefixes(): string[] {
    const configured = this.networks().map(({ document }) => document.hostInterfacePrefix ?? DEFAULT_PREFIX);
    return [...new Set(configured.length > 0 ? configured : [DEFAULT_PREFIX])];
  }

  /** Whether any network gives addresses of the family, or pods have some. */
  wants(family: Family): boolean {
    if (this.podAddresses().some((address) => address.family === family)) return true;
    const ranges = this.networks().flatMap(({ document: { ipam } }) => configs(ipam));
    return ranges.some(({ subnet }) => (podCidrFamily(subnet) ?? (subnet.includes(":") ? 6 : 4)) === family);
  }

  links(): Link[] {
    return this.#once("links", () => this.host.netlink.dump(listLinks()).map(decodeLink));
  }

  /** Interfaces that lead to pods: by our alias. */
  hostEnds(): Link[] {
    return this.links().filter(({ alias }) => alias?.startsWith("slash32 "));
  }

  link(index: number | undefined): Link | undefined {
    return this.links().find((link) => link.index === index);
  }

  /** Routes of the main table, those that discard packets included. */
  mainRoutes(family: Family): Route[] {
    return this.#once(`routes ${family}`, () =>
      this.host.netlink
        .dump(listRoutes(family))
        .map(decodeRoute)
        .filter(({ table }) => table === RT_TABLE_MAIN),
    );
  }

  routes(family: Family): Route[] {
    return this.mainRoutes(family).filter(({ type }) => type === RTN_UNICAST);
  }

  defaultRoutes(family: Family): Route[] {
    return this.routes(family).filter(({ dst }) => dst.length === 0);
  }

  /** Where the other end of a cable is; `undefined` when no process and no path leads there. */
  sandboxOf(link: Link): string | undefined {
    return this.#once("sandboxes", () => new Sandboxes(this.host)).pathOf(link);
  }

  sysctl(key: string): string | undefined {
    return readSysctl(this.host, key);
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }

  #network(name: string, document: NetconfDocument, part: OwnPart | undefined): Network {
    const stateDir = this.#seen(stateDirOf(document));
    return { name, part, document, stateDir, stored: readStored(stateDir, name) };
  }

  #seen(stateDir: string): string {
    return this.#stateDir ?? join(this.files.root, stateDir);
  }

  #once<T>(question: string, ask: () => T): T {
    if (!this.#known.has(question)) this.#known.set(question, ask());
    return this.#known.get(question) as T;
  }
}

function storesIn(stateDir: string): string[] {
  try {
    return listDirectory(stateDir).filter((name) => findStatus(join(stateDir, name, "leases.db")));
  } catch {
    return []; // whether the directory is as it should be is a check of its own
  }
}
