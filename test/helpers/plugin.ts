/** Runs the plugin as a container runtime does: environment, standard input, standard output, exit status. */

import { dirname, resolve } from "node:path";
import { execa, execaSync } from "execa";
import type { TestHost, TestNetns } from "./lab.ts";
import { patient } from "./patience.ts";

/** The executable under test: SLASH32, or bin/slash32. */
export const EXECUTABLE = resolve(process.env.SLASH32 ?? resolve(import.meta.dirname, "../../bin/slash32"));

export type Verb = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** A network configuration as it is sent; deliberately loose, as tests send wrong ones too. */
export type NetworkConfiguration = Readonly<Record<string, unknown>>;

export type PluginCall = {
  /** The namespace the plugin runs in. */
  readonly host: TestNetns;
  /** Sent on standard input. Without it and without `stdin`, standard input is empty. */
  readonly netconf?: NetworkConfiguration | undefined;
  /** Default "container-1". */
  readonly containerId?: string;
  /** The sandbox, or the text of CNI_NETNS. Default: set, but empty, as a runtime does once the sandbox is gone. */
  readonly netns?: TestNetns | string;
  /** Default "eth0". */
  readonly ifName?: string;
  /** CNI_ARGS. Default: set, but empty. */
  readonly args?: string;
  /** CNI_PATH. Default: the directory of the executable. */
  readonly path?: string;
  /** Last word on the environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Sent instead of `netconf`, byte for byte. */
  readonly stdin?: string | Uint8Array;
  /** A command that starts the executable, whose path is given to it as the last argument: `["env", "-C", "/"]`. */
  readonly through?: readonly string[];
};

/** Everything a plugin of any version may print, as a reader of the outcome wants it: nothing is sure to be there. */
export type Answer = {
  readonly cniVersion?: string;
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
  readonly supportedVersions?: readonly string[];
  readonly interfaces?: readonly { name?: string; mac?: string; mtu?: number; sandbox?: string }[];
  readonly ips?: readonly { version?: string; address?: string; gateway?: string; interface?: number }[];
  readonly routes?: readonly AnswerRoute[];
  readonly ip4?: { ip?: string; gateway?: string; routes?: readonly AnswerRoute[] };
  readonly ip6?: { ip?: string; gateway?: string; routes?: readonly AnswerRoute[] };
  readonly dns?: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] };
};

type AnswerRoute = {
  readonly dst?: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly priority?: number;
};

export type PluginOutcome = {
  /** -1 when a signal ended it. */
  readonly exitCode: number;
  /** Exactly what was printed, final newline included. */
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output parsed, its shape not checked (assertValid does); undefined when it is not one JSON document. */
  readonly json: Answer | undefined;
};

/** No call takes seconds; one that does hangs. */
const TIMEOUT_MS = patient(30_000);

/** The configuration most tests start from: one range of 10.20.1.0/24, state in the host's own directory. */
export function netconf(host: TestHost, overrides: NetworkConfiguration = {}): NetworkConfiguration {
  return {
    cniVersion: "1.1.0",
    name: "podnet",
    type: "slash32",
    stateDir: host.stateDir,
    ipam: { type: "slash32", ranges: [[{ subnet: "10.20.1.0/24" }]] },
    ...overrides,
  };
}

/** Runs the plugin once. Its failure is an outcome; only a plugin that cannot be run at all is an error. */
export function plugin(verb: Verb, call: PluginCall): PluginOutcome {
  return outcome(execaSync("nsenter", command(call), options(verb, call)));
}

/** As plugin(), without waiting: for calls in parallel. */
export async function pluginAsync(verb: Verb, call: PluginCall): Promise<PluginOutcome> {
  return outcome(await execa("nsenter", command(call), options(verb, call)));
}

export const add = (call: PluginCall): PluginOutcome => plugin("ADD", call);
export const del = (call: PluginCall): PluginOutcome => plugin("DEL", call);
export const check = (call: PluginCall): PluginOutcome => plugin("CHECK", call);
export const gc = (call: PluginCall): PluginOutcome => plugin("GC", call);
export const status = (call: PluginCall): PluginOutcome => plugin("STATUS", call);
export const version = (call: PluginCall): PluginOutcome => plugin("VERSION", call);

function command({ host, through = [] }: PluginCall): string[] {
  return [`--net=${host.path}`, "--", ...through, EXECUTABLE];
}

function options(verb: Verb, call: PluginCall) {
  return {
    env: environment(verb, call),
    extendEnv: false,
    input: call.stdin ?? (call.netconf === undefined ? "" : JSON.stringify(call.netconf)),
    stripFinalNewline: false,
    timeout: TIMEOUT_MS,
    reject: false,
  } as const;
}

/**
 * The six variables as the Go library sends them: all always set, those that do not apply to the verb empty, and
 * "dummy" in three of them when it only asks for the version.
 */
function environment(verb: Verb, call: PluginCall): Record<string, string> {
  const {
    containerId = "container-1",
    netns = "",
    ifName = "eth0",
    args = "",
    path = dirname(EXECUTABLE),
  } = call;
  const attachment = {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: typeof netns === "string" ? netns : netns.path,
    CNI_IFNAME: ifName,
    CNI_ARGS: args,
    CNI_PATH: path,
  };
  const none = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_ARGS: "", CNI_PATH: path };
  const dummy = { ...none, CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_PATH: "dummy" };
  const variables = {
    ADD: attachment,
    DEL: attachment,
    CHECK: attachment,
    GC: none,
    STATUS: none,
    VERSION: dummy,
  };
  const all = { PATH: process.env.PATH, CNI_COMMAND: verb, ...variables[verb], ...call.env };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

type Finished = {
  exitCode?: number | undefined;
  stdout: string;
  stderr: string;
  timedOut: boolean;
  code?: unknown;
};

function outcome({ exitCode = -1, stdout, stderr, timedOut, code }: Finished): PluginOutcome {
  if (timedOut)
    throw new Error(`Cannot run ${EXECUTABLE}: no end after ${TIMEOUT_MS} ms: ${stdout}${stderr}`);
  const notRun = stderr.startsWith("nsenter: ");
  if (notRun || code === "ENOENT")
    throw new Error(`Cannot run ${EXECUTABLE}: ${stderr || "nsenter is missing"}`);
  return { exitCode, stdout, stderr, json: parsed(stdout) };
}

function parsed(text: string): Answer | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
