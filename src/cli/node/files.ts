// The node's files, which may be mounted elsewhere; and the two forms of settings found in them.
import { listDirectory } from "../../directories.ts";
import { type FileStatus, findStatus, readAll, readText } from "../../files.ts";
import { SystemError } from "../../libc.ts";
import { basename, join } from "../../paths.ts";

/** Longer ones are no configuration. */
const LONGEST_FILE_BYTES = 1 << 20;

/** Reads below a root. Paths are as on the node; that one is missing is never an error. */
export class Files {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  stat(path: string): FileStatus | undefined {
    return findStatus(this.#at(path));
  }

  exists(path: string): boolean {
    try {
      return this.stat(path) !== undefined;
    } catch {
      return false; // ENOTDIR, ELOOP: nothing that could be read
    }
  }

  /** `undefined` when it is missing, no plain file (a fifo would keep us waiting), or absurdly long. */
  read(path: string): string | undefined {
    const status = this.stat(path);
    if (status?.kind !== "file" || status.bytes > LONGEST_FILE_BYTES) return undefined;
    return readText(this.#at(path));
  }

  /** Whole; throws when it is missing. */
  bytes(path: string): Uint8Array<ArrayBuffer> {
    return readAll(this.#at(path));
  }

  /** Names in a directory, sorted as `LC_ALL=C ls` sorts; none if it is missing. */
  list(directory: string): string[] {
    try {
      return listDirectory(this.#at(directory)).sort();
    } catch (error) {
      if (error instanceof SystemError && ["ENOENT", "ENOTDIR"].includes(error.code)) return [];
      throw error;
    }
  }

  /**
   * Paths of the files with that ending, in the order in which they are read: by name, wherever they lie. Of two
   * with one name that in the earlier directory counts (systemd.unit(5), NetworkManager.conf(5)).
   */
  layered(directories: readonly string[], ending: string): string[] {
    const paths = new Map<string, string>();
    for (const directory of directories) {
      for (const name of this.list(directory)) {
        if (name.endsWith(ending) && !paths.has(name)) paths.set(name, join(directory, name));
      }
    }
    return [...paths.values()].sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
  }

  #at(path: string): string {
    return join(this.root, path);
  }
}

/** Sections by name, keys in them, and each key's values in the order of the file. */
export type Ini = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

/** systemd.syntax(7) and glib's key files: `[Section]`, `Key=value`, comments, lines that go on after a backslash. */
export function parseIni(text: string): Ini {
  const sections = new Map<string, Map<string, string[]>>();
  let section = new Map<string, string[]>();
  for (const line of text.replace(/\\\r?\n/g, " ").split(/\r?\n/)) {
    const heading = /^\s*\[(.+)\]\s*$/.exec(line);
    if (heading) {
      const name = heading[1] as string;
      section = sections.get(name) ?? new Map();
      sections.set(name, section);
      continue;
    }
    const pair = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (pair) section.set(pair[1] as string, [...(section.get(pair[1] as string) ?? []), pair[2] as string]);
  }
  return sections;
}

/** The last value of a key: later ones win. */
export function lastValue(ini: Ini, section: string, key: string): string | undefined {
  return ini.get(section)?.get(key)?.at(-1);
}

/** "yes", "true", "on" and "1", as systemd reads booleans. */
export function isYes(value: string | undefined): boolean {
  return /^(1|y|yes|t|true|on)$/i.test(value ?? "");
}

/** fnmatch(3) as far as it is met in such files: `*`, `?` and `[…]`. */
export function matchesGlob(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".")
    .replace(/\[!/g, "[^");
  try {
    return new RegExp(`^${source}$`).test(text);
  } catch {
    return pattern === text;
  }
}
