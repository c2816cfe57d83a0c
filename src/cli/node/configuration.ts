// The CNI configuration directory, read as container runtimes read it.
import { CniError, errorObject } from "../../cni/error.ts";
import { type IpamConfig, type Netconf, readNetconf, validDocument } from "../../cni/netconf.ts";
import type { RangeConfig } from "../../ipam/range.ts";
import { join } from "../../paths.ts";
import type { Files } from "./files.ts";

/** A directory, and how to reach it. */
export interface Place {
  readonly files: Files;
  readonly path: string;
}

/** One plugin of a list, its keys as they stand there. */
export type PluginEntry = Readonly<Record<string, unknown>> & { readonly type: string };

export interface ConfFile {
  readonly path: string;
  /** Why a runtime cannot load it; absent when it can. */
  readonly broken?: string;
  readonly network: string;
  readonly cniVersion: string;
  readonly plugins: readonly PluginEntry[];
}

/** Our own part of a file, as the runtime would hand it over: ready to be read, or with what slash32 would say. */
export interface OwnPart {
  readonly file: ConfFile;
  readonly netconf?: Netconf;
  readonly refusal?: string;
}

/** All files that a runtime would look at, in its order: the first that it can load is the one it uses. */
export function readConfDir({ files, path }: Place): ConfFile[] {
  return files
    .list(path)
    .filter((name) => /\.(conf|conflist|json)$/.test(name))
    .map((name) => readConfFile(files, join(path, name)));
}

export function isOurs({ plugins }: ConfFile): boolean {
  return plugins.some(({ type }) => type === "slash32");
}

/** What ADD would be given, of the first slash32 in the list. */
export function ownPart(file: ConfFile): OwnPart | undefined {
  const plugin = file.plugins.find(({ type }) => type === "slash32");
  if (plugin === undefined) return undefined;
  try {
    const text = JSON.stringify({ ...plugin, name: file.network, cniVersion: file.cniVersion });
    const netconf = readNetconf(text);
    validDocument(netconf);
    return { file, netconf };
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    return { file, refusal: errorObject(error, "1.1.0").msg };
  }
}

/** One file; `name` is by what it is read, a list or a plugin by itself, where it is called otherwise at the moment. */
export function readConfFile(files: Files, path: string, name = path): ConfFile {
  const nothing = { path, network: "", cniVersion: "", plugins: [] };
  try {
    const text = files.read(path);
    if (text === undefined) return { ...nothing, broken: "it is no plain file" };
    return { ...nothing, ...parsed(JSON.parse(text), name) };
  } catch (error) {
    const words = (error as Error).message;
    return { ...nothing, broken: error instanceof SyntaxError ? `it is not JSON (${words})` : words };
  }
}

/** A list (`plugins`), or one plugin by itself, as runtimes before CNI 0.3.0 had it. */
function parsed(value: unknown, path: string): Partial<ConfFile> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { broken: "it is no JSON object" };
  }
  const { name, cniVersion, plugins } = value as Record<string, unknown>;
  const head = { network: textOf(name), cniVersion: textOf(cniVersion) };
  const isList = path.endsWith(".conflist") || (path.endsWith(".json") && plugins !== undefined);
  const entries = isList ? plugins : [value];
  if (!Array.isArray(entries)) return { ...head, broken: "plugins is no list" };
  if (entries.length === 0) return { ...head, broken: "plugins is empty" };
  if (!entries.every(isPlugin)) return { ...head, broken: "a plugin in it has no type" };
  return { ...head, plugins: entries };
}

function isPlugin(entry: unknown): entry is PluginEntry {
  return typeof (entry as { type?: unknown } | null)?.type === "string";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The ranges as they are written, wherever they stand. */
export function configs(ipam: IpamConfig = {}): RangeConfig[] {
  return [...(ipam.subnet ? [ipam as RangeConfig] : []), ...(ipam.ranges ?? []).flat()];
}
