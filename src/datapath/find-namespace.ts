// Where a host end's other end is: the way from a link to a path that can be opened, without asking the runtime.
import { listDirectory, readLink } from "../directories.ts";
import { closeFile, O_NONBLOCK, O_RDONLY, openFile, readText } from "../files.ts";
import type { Namespace } from "./netns.ts";
import type { Link } from "./rtnetlink/link.ts";
import { decodeNamespaceId, getNamespaceId } from "./rtnetlink/namespace.ts";

/**
 * Paths of the network namespaces that links of the host lead into, by `Link.peerNamespace`. A namespace is found
 * by its mount point (`ip netns`, container runtimes), else by a process in it; one that has neither is not found.
 * Entered is none of them. One call serves all links: it looks at every process.
 */
export function findNamespaces(host: Namespace): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const path of candidates().values()) {
    const id = idOf(path, host);
    if (id !== undefined && !found.has(id)) found.set(id, path);
  }
  return found;
}

/**
 * Finds sandboxes link by link while pods come and go: what was found is asked once more before it is told, and where it
 * has changed all is looked at anew. A number is given to a namespace when the first link leads there, and again to
 * another when the last is gone.
 */
export class Sandboxes {
  readonly #host: Namespace;
  readonly #missed = new Set<number>();
  #paths: ReadonlyMap<number, string> = new Map();

  constructor(host: Namespace) {
    this.#host = host;
  }

  /** Where the other end is; `undefined` when no process and no path leads there, or it is on the host. */
  pathOf({ peerNamespace }: Link): string | undefined {
    if (peerNamespace === undefined || this.#missed.has(peerNamespace)) return undefined;
    const known = this.#paths.get(peerNamespace);
    if (known !== undefined && idOf(known, this.#host) === peerNamespace) return known;
    this.#paths = findNamespaces(this.#host);
    const path = this.#paths.get(peerNamespace);
    // Looking at every process for each that is gone would be looking for long.
    if (path === undefined) this.#missed.add(peerNamespace);
    return path;
  }
}

/** One path for each namespace, by its "net:[inode]": the mount point that can be named to a person comes first. */
function candidates(): Map<string, string> {
  const paths = new Map<string, string>();
  const offer = (namespace: string, path: string) => {
    if (!paths.has(namespace)) paths.set(namespace, path);
  };
  for (const [namespace, path] of mounted()) offer(namespace, path);
  for (const pid of listDirectory("/proc").filter((name) => /^\d+$/.test(name))) {
    const path = `/proc/${pid}/ns/net`;
    try {
      offer(readLink(path), path);
    } catch {
      // The process has ended meanwhile, or is none of ours to look at.
    }
  }
  return paths;
}

/** Namespaces that are mounted on a file: fields 4 and 5 of proc_pid_mountinfo(5). */
function mounted(): (readonly [namespace: string, path: string])[] {
  const lines = readText("/proc/thread-self/mountinfo").split("\n");
  return lines.flatMap((line) => {
    const [, , , root = "", path = ""] = line.split(" ");
    return root.startsWith("net:[") ? [[root, unescaped(path)] as const] : [];
  });
}

/** Spaces and the like are written in octal: "\040". */
function unescaped(path: string): string {
  return path.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function idOf(path: string, host: Namespace): number | undefined {
  let fd: number;
  try {
    fd = openFile(path, O_RDONLY | O_NONBLOCK);
  } catch {
    return undefined; // it went away meanwhile
  }
  try {
    const [outcome] = host.netlink.exchange([getNamespaceId({ fd, path })]);
    const [message] = outcome?.messages ?? [];
    return message && decodeNamespaceId(message);
  } finally {
    closeFile(fd);
  }
}
