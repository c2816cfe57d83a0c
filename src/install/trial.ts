// A trial: what a pod would get, in a sandbox of our own that is gone a moment later, before any runtime is told to ask.
import type { Family } from "../address.ts";
import type { NetconfDocument } from "../cni/netconf.ts";
import { atLeast, type CniVersion } from "../cni/version.ts";
import { Namespace } from "../datapath/netns.ts";
import { removeTree } from "../directories.ts";
import { DelegateError, runDelegate } from "../ipam/delegate.ts";
import { makeSettingsWritable } from "./settings.ts";

/** Of a network of its own: no lease of a real one is touched, and none is taken where a node is full. */
const NETWORK = "slash32-trial";
/** For measurements between networks (RFC 2544, RFC 5180): whatever the host is, it does not route these. */
const SUBNET: Readonly<Record<Family, string>> = { 4: "198.18.32.0/24", 6: "2001:2:0:32::/120" };
const PATIENCE_MS = 20_000;

export interface TrialOptions {
  /** The executable, under whatever name it has at the moment. */
  readonly directory: string;
  readonly name: string;
  /** Our entry of the list, with its version. */
  readonly document: NetconfDocument & { readonly cniVersion: CniVersion };
  readonly families: readonly Family[];
  readonly mtu: number | undefined;
  /** Made and removed. */
  readonly stateDir: string;
}

/**
 * ADD, CHECK and DEL, as the list has it but for the addresses; returns those that its version has. Throws what the first
 * of them says that fails.
 */
export function tryOut(options: TrialOptions): readonly string[] {
  const { document, families, mtu, stateDir, directory, name } = options;
  makeSettingsWritable();
  using cleanup = new DisposableStack();
  cleanup.defer(() => removeTree(stateDir));
  // With it, however we end, the kernel drops both ends of the cable and the host's routes.
  const sandbox = cleanup.use(attempt("make a sandbox for", Namespace.create));
  const netconf = {
    ...withoutAddresses(document),
    name: NETWORK,
    type: "slash32",
    stateDir,
    ...(document.mtu || mtu === undefined ? {} : { mtu }),
    ipam: { type: "slash32", ranges: families.map((family) => [{ subnet: SUBNET[family] }]) },
  };
  const environment = {
    CNI_CONTAINERID: NETWORK,
    CNI_NETNS: sandbox.path,
    CNI_IFNAME: "eth0",
    CNI_PATH: directory,
  };
  const call = (verb: string, keys: object) => {
    const text = JSON.stringify({ ...netconf, ...keys });
    const plugin = { type: name, kind: "plugin", path: [directory], environment, netconf: text };
    return attempt(verb, () => runDelegate({ ...plugin, timeoutMs: PATIENCE_MS }, verb));
  };
  const remove = () => call("DEL", {});
  const isChecked = atLeast(document.cniVersion, "0.4.0");
  try {
    const prevResult = call("ADD", {});
    if (isChecked) call("CHECK", { prevResult });
  } catch (error) {
    giveUp(remove);
    throw error;
  }
  remove();
  return ["ADD", ...(isChecked ? ["CHECK"] : []), "DEL"];
}

/** On the way out of a failure, which is what is reported. */
function giveUp(work: () => void): void {
  try {
    work();
  } catch {
    // The kernel removes what is left with the sandbox.
  }
}

/** Nor with a log: what is tried is no pod's. */
function withoutAddresses({ logFile, dns, ...document }: NetconfDocument): object {
  return document;
}

/** In one line: the plugin's own words, where it has some. */
function attempt<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { message } = error as Error;
    const words = error instanceof DelegateError ? (error.answer?.msg ?? message) : message;
    throw new Error(`Cannot ${what} a pod on trial: ${words.replace(/\s*[\r\n]+\s*/g, " ")}`, {
      cause: error,
    });
  }
}
