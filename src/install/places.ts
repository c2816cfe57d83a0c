// Where everything is: on the node, and as seen from here, where the node's root may be mounted elsewhere.
import { nodePath } from "../cni/node.ts";
import { readLink } from "../directories.ts";
import { findEntry } from "../files.ts";
import { join } from "../paths.ts";

/** More links on one way lead in a circle (MAXSYMLINKS). */
const MOST_LINKS = 40;

/** Directories as the node calls them. */
export interface Directories {
  readonly binDir: string;
  readonly confDir: string;
  readonly stateDir: string;
}

export class Places {
  readonly root: string;
  readonly binDir: string;
  readonly confDir: string;
  readonly stateDir: string;

  constructor(root: string, { binDir, confDir, stateDir }: Directories) {
    this.root = root;
    this.binDir = binDir;
    this.confDir = confDir;
    this.stateDir = stateDir;
  }

  get executable(): string {
    return join(this.binDir, "slash32");
  }

  get nodeFile(): string {
    return nodePath(this.stateDir);
  }

  /** The state directory of trials, which no network has. */
  get trialDir(): string {
    return join(this.stateDir, ".trial");
  }

  /** There while an installation or its removal is at work, and after one that was killed. */
  get lock(): string {
    return join(this.stateDir, "install.lock");
  }

  /** The same file, seen from here: a link on the way leads to where it leads on the node. */
  seen(path: string): string {
    return this.root === "/" ? path : join(this.root, followed(this.root, path));
  }
}

/** The path without links: an absolute one would lead out of the root. */
function followed(root: string, path: string): string {
  let left = path.split("/").filter(Boolean);
  let way = "/";
  for (let links = 0; left.length > 0; ) {
    const [part = "", ...rest] = left;
    const next = join(way, part); // ".." of the root is the root
    const target = linkTarget(join(root, next));
    if (target === undefined) way = next;
    else if (++links > MOST_LINKS) throw new Error(`Cannot find ${path} below ${root}: too many links`);
    else if (target.startsWith("/")) way = "/";
    left = [...(target ?? "").split("/").filter(Boolean), ...rest];
  }
  return way;
}

function linkTarget(path: string): string | undefined {
  return findEntry(path)?.kind === "link" ? readLink(path) : undefined;
}
