// A pod as a trace visits it: its host end, its sandbox, and the end of the cable in there. Opened, never changed.
import type { Address } from "../../address.ts";
import { findLink } from "../../datapath/host.ts";
import { Namespace, NamespaceError } from "../../datapath/netns.ts";
import { type Device, decodeLink, getLinkByIndex, type Link } from "../../datapath/rtnetlink/link.ts";
import { type Pod, podName } from "../pods.ts";

/** Where a packet comes from, or goes to, as the host sees it. */
export type Neighbourhood =
  | { readonly kind: "pod"; readonly station: Station }
  | { readonly kind: "host" }
  /** By which interface is known of a reply; of the first packet it is for the host to decide. */
  | { readonly kind: "beyond"; readonly dev?: Device | undefined };

export interface Inside {
  readonly namespace: Namespace;
  /** Opens it from the host. */
  readonly path: string;
  /** The cable's end in there. */
  readonly end: Link;
}

/** Disposing of it closes the sandbox. */
export class Station implements Disposable {
  readonly pod: Pod;
  readonly address: Address;
  /** What its sandbox is called among the places. */
  readonly place: string;
  readonly hostEnd: Link | undefined;
  readonly inside: Inside | undefined;
  /** Why there is no `inside`. */
  readonly obstacle: string;

  /** `paths` are those of the namespaces that the host's links lead into (`findNamespaces`). */
  constructor(pod: Pod, address: Address, host: Namespace, paths: ReadonlyMap<number, string>) {
    this.pod = pod;
    this.address = address;
    this.place = `sandbox ${podName(pod)}`;
    this.hostEnd = findLink(host, pod.hostEnd);
    const entered = enter(this.hostEnd, paths);
    this.inside = typeof entered === "string" ? undefined : entered;
    this.obstacle = typeof entered === "string" ? entered : "";
  }

  [Symbol.dispose](): void {
    this.inside?.namespace[Symbol.dispose]();
  }
}

function enter(hostEnd: Link | undefined, paths: ReadonlyMap<number, string>): Inside | string {
  if (hostEnd === undefined) return "its host end is missing";
  const { peerNamespace, peerIndex } = hostEnd;
  if (peerIndex === undefined) return `${hostEnd.name} is no end of a cable`;
  if (peerNamespace === undefined) return `the other end of ${hostEnd.name} is on the host itself`;
  const path = paths.get(peerNamespace);
  if (path === undefined) return `no process or path leads into it (link-netnsid ${peerNamespace})`;
  using undo = new DisposableStack();
  try {
    const namespace = undo.use(Namespace.open(path));
    const [outcome] = namespace.netlink.exchange([getLinkByIndex(peerIndex)]);
    const [message] = outcome?.messages ?? [];
    if (message === undefined) return `it has no interface ${peerIndex}`;
    undo.move();
    return { namespace, path, end: decodeLink(message) };
  } catch (error) {
    if (error instanceof NamespaceError) return error.message; // it went away meanwhile
    throw error;
  }
}
