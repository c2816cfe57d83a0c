// What the runtime asks, from its environment. CNI specification, section 2, "Parameters".
import type { Attachment } from "../attachment.ts";
import { CniError, Code } from "./error.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A verb with what it was given. Values that the verb does not need are not looked at. */
export interface Request {
  readonly verb: string;
  readonly containerId: string;
  readonly ifName: string;
  /** As it was given: it is echoed letter for letter. Empty when the runtime has no sandbox left. */
  readonly netns: string;
  /** Directories to look for other plugins in. */
  readonly path: readonly string[];
  /** CNI_ARGS; of a repeated key the last one counts, unknown ones are kept. */
  readonly args: ReadonlyMap<string, string>;
  /** Whether CNI_NETNS may be the plugin's own namespace (CNI_NETNS_OVERRIDE). */
  readonly allowOwnNetns: boolean;
  /** For delegates, whole. */
  readonly environment: Environment;
}

const REQUIRED: ReadonlyMap<string, readonly (keyof typeof VALIDATORS)[]> = new Map([
  ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
]);

const VALIDATORS = {
  CNI_CONTAINERID: containerIdMistake,
  CNI_NETNS: () => undefined,
  CNI_IFNAME: ifNameMistake,
} as const;

/** Reads and checks the environment. Throws a CniError 4: an invalid value at once, missing ones all together. */
export function readRequest(environment: Environment): Request {
  const value = (name: string) => environment[name] ?? "";
  const verb = value("CNI_COMMAND");
  const missing: string[] = [];
  for (const name of REQUIRED.get(verb) ?? []) {
    if (value(name) === "") missing.push(name);
    else {
      const mistake = VALIDATORS[name](value(name));
      if (mistake) throw invalid(`Cannot use ${name}=${JSON.stringify(value(name))}: ${mistake}`);
    }
  }
  if (missing.length > 0)
    throw invalid(`Cannot ${verb} without ${missing.join(", ")}: the runtime has to set them`);
  return {
    verb,
    containerId: value("CNI_CONTAINERID"),
    ifName: value("CNI_IFNAME"),
    netns: value("CNI_NETNS"),
    path: value("CNI_PATH").split(":").filter(Boolean),
    args: readArgs(value("CNI_ARGS")),
    allowOwnNetns: ["1", "true"].includes(value("CNI_NETNS_OVERRIDE").toLowerCase()),
    environment,
  };
}

export function attachmentOf({ containerId, ifName }: Request, network: string): Attachment {
  return { network, containerId, ifName };
}

/** "namespace/name" of the pod, a label for people; runtimes may know only one of the two, or neither. */
export function podOf({ args }: Request): string | undefined {
  const words = [args.get("K8S_POD_NAMESPACE"), args.get("K8S_POD_NAME")].filter(Boolean);
  return words.length > 0 ? words.join("/") : undefined;
}

/** A name as network names and container IDs have to be: they end up in paths. */
export function isPlainName(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

function containerIdMistake(id: string): string | undefined {
  if (isPlainName(id)) return undefined;
  return "it must begin with a letter or digit, followed by letters, digits, '_', '.' and '-'";
}

/** The kernel's rules (net/core/dev.c, dev_valid_name), and no "%": the kernel would expand "eth%d". */
function ifNameMistake(name: string): string | undefined {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > 15) return `it must have at most 15 bytes, it has ${bytes}`;
  if (name === "." || name === "..") return "it must be a name";
  // The letters of all the world's scripts are looked at only where there are any.
  if (!isPlainName(name) && /[/:%\p{White_Space}\p{Cc}]/u.test(name))
    return "it must not contain '/', ':', '%' or white space";
  return undefined;
}

/** `K=V;K2=V2`. Unknown keys are the runtime's own affair, with IgnoreUnknown or without. */
function readArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(";")) {
    const at = pair.indexOf("=");
    if (at > 0) args.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return args;
}

function invalid(message: string): CniError {
  return new CniError(Code.invalidEnvironment, "InvalidEnvironment", message);
}
