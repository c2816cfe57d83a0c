/** A runtime of our own: runs configuration lists by the CNI specification, section 3, with plugins of any kind. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import type { TestHost, TestNetns } from "./lab.ts";
import { type Answer, EXECUTABLE, type NetworkConfiguration } from "./plugin.ts";

export type NetworkList = {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly NetworkConfiguration[];
};

export type ListAttachment = {
  readonly containerId: string;
  /** The sandbox; without it, it is gone. */
  readonly netns?: TestNetns | undefined;
  /** Default "eth0". */
  readonly ifName?: string;
  /** CNI_ARGS. */
  readonly args?: string;
  /** What the runtime has for capabilities; each plugin gets those that it declares. */
  readonly capabilities?: NetworkConfiguration;
};

/** A plugin of the list refused. */
export class ListError extends Error {
  override readonly name = "ListError";
  readonly plugin: string;
  readonly answer: Answer | undefined;

  constructor(verb: string, plugin: string, stdout: string, answer: Answer | undefined) {
    super(`Cannot ${verb}: plugin "${plugin}" said ${stdout || "nothing"}`);
    this.plugin = plugin;
    this.answer = answer;
  }
}

/** CNI_PATH: our executable first, then Debian's plugins. */
export const LIST_PATH = [dirname(EXECUTABLE), "/usr/lib/cni"];

/**
 * One list on one host. Keeps the final result of every attachment, as the specification wants it for CHECK, DEL and GC.
 * Verbs throw a ListError at the first plugin that fails; ADD that failed is not undone: that is DEL's, which the
 * caller may forget.
 */
export class ListRunner {
  readonly #host: TestHost;
  readonly #list: NetworkList;
  readonly #path: readonly string[];
  readonly #attached = new Map<string, { attachment: ListAttachment; result: Answer }>();

  constructor(host: TestHost, list: NetworkList, path: readonly string[] = LIST_PATH) {
    this.#host = host;
    this.#list = list;
    this.#path = path;
  }

  /** Each plugin gets the result of the one before; that of the last is the attachment's. */
  add(attachment: ListAttachment): Answer {
    let prevResult: Answer | undefined;
    for (const plugin of this.#list.plugins) {
      prevResult = this.#run("ADD", plugin, { attachment, prevResult });
    }
    const result = prevResult as Answer;
    this.#attached.set(keyOf(attachment), { attachment, result });
    return result;
  }

  /** All get the final result. */
  check(attachment: ListAttachment): void {
    const prevResult = this.#attached.get(keyOf(attachment))?.result;
    for (const plugin of this.#list.plugins) this.#run("CHECK", plugin, { attachment, prevResult });
  }

  /** In reverse order, with the final result, if there is one. */
  del(attachment: ListAttachment): void {
    const prevResult = this.#attached.get(keyOf(attachment))?.result;
    for (const plugin of this.#list.plugins.toReversed()) {
      this.#run("DEL", plugin, { attachment, prevResult });
    }
    this.#attached.delete(keyOf(attachment));
  }

  /** DEL for what it knows and is not named, then GC with what is named. */
  gc(valid: readonly ListAttachment[]): void {
    const kept = new Set(valid.map(keyOf));
    for (const [key, { attachment }] of this.#attached) if (!kept.has(key)) this.del(attachment);
    const named = valid.map(({ containerId, ifName = "eth0" }) => ({
      containerID: containerId,
      ifname: ifName,
    }));
    const keys = { "cni.dev/valid-attachments": named, "cni.dev/attachments": named };
    for (const plugin of this.#list.plugins) this.#run("GC", { ...plugin, ...keys });
  }

  status(): void {
    for (const plugin of this.#list.plugins) this.#run("STATUS", plugin);
  }

  /** Its answer, parsed; undefined for nothing. */
  #run(verb: string, plugin: NetworkConfiguration, call: Partial<Call> = {}): Answer | undefined {
    const type = String(plugin.type);
    const path = this.#path.map((directory) => join(directory, type)).find(existsSync);
    if (path === undefined) throw new Error(`Cannot find plugin "${type}" in ${this.#path.join(":")}`);
    const { stdout, exitCode } = execaSync("nsenter", [`--net=${this.#host.path}`, "--", path], {
      env: { PATH: process.env.PATH, ...environment(verb, this.#path, call.attachment) },
      extendEnv: false,
      input: JSON.stringify(this.#configuration(plugin, call)),
      timeout: 30_000,
      reject: false,
    });
    const answer = stdout === "" ? undefined : JSON.parse(stdout);
    if (exitCode !== 0) throw new ListError(verb, type, stdout, answer);
    return answer;
  }

  /**
   * Specification, section 3, "Deriving execution configuration from plugin configuration"; but `capabilities` are left
   * in, as the Go library does. STATUS and GC have no attachment, and so no capabilities.
   */
  #configuration(plugin: NetworkConfiguration, { attachment, prevResult }: Partial<Call>) {
    const { capabilities = {} } = plugin;
    const { cniVersion, name } = this.#list;
    const declared = Object.entries(capabilities as Record<string, boolean>).flatMap(([key, isWanted]) => {
      const value = attachment?.capabilities?.[key];
      return isWanted && value !== undefined ? [[key, value]] : [];
    });
    return {
      ...plugin,
      cniVersion,
      name,
      ...(declared.length > 0 ? { runtimeConfig: Object.fromEntries(declared) } : {}),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
  }
}

type Call = { readonly attachment: ListAttachment; readonly prevResult: Answer | undefined };

function environment(
  verb: string,
  path: readonly string[],
  attachment: ListAttachment | undefined,
): Record<string, string> {
  return {
    CNI_COMMAND: verb,
    CNI_PATH: path.join(":"),
    CNI_CONTAINERID: attachment?.containerId ?? "",
    CNI_NETNS: attachment?.netns?.path ?? "",
    CNI_IFNAME: attachment === undefined ? "" : (attachment.ifName ?? "eth0"),
    CNI_ARGS: attachment?.args ?? "",
  };
}

function keyOf({ containerId, ifName = "eth0" }: ListAttachment): string {
  return `${containerId}/${ifName}`;
}
