/**
 * A runtime of CNI 1.1.0 as small as can be: what the specification's section 3 says of lists of plugins, with STATUS
 * and GC. It remembers the results of ADD, and a new one remembers nothing.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import type { TestHost, TestNetns } from "./lab.ts";
import type { Answer, Verb } from "./plugin.ts";

export type PluginConfiguration = Readonly<Record<string, unknown>> & {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
};

export type ListAttachment = {
  readonly containerId: string;
  readonly sandbox: TestNetns;
  /** Default "eth0". */
  readonly ifName?: string;
  /** What the runtime offers, by capability. Each plugin gets those that it declares. */
  readonly offers?: Readonly<Record<string, unknown>>;
};

/** Which plugin refused, in what words. */
export class PluginRefusal extends Error {
  override readonly name = "PluginRefusal";
  readonly type: string;
  readonly code: number | undefined;

  constructor(type: string, verb: Verb, { code, msg }: Answer) {
    super(`Cannot ${verb} with ${type}: ${msg}`);
    this.type = type;
    this.code = code;
  }
}

export class NetworkList {
  readonly #host: TestHost;
  readonly #plugins: readonly PluginConfiguration[];
  readonly #path: string;
  readonly #results = new Map<string, { attachment: ListAttachment; result: Answer }>();

  /** `path` is where the plugins are. */
  constructor(host: TestHost, path: string, plugins: readonly PluginConfiguration[]) {
    this.#host = host;
    this.#path = path;
    this.#plugins = plugins;
  }

  /** Each plugin in turn gets what the one before answered. When one refuses, all get a DEL. */
  add(attachment: ListAttachment): Answer {
    let prevResult: Answer | undefined;
    try {
      for (const plugin of this.#plugins) {
        prevResult = this.#call("ADD", plugin, { prevResult, attachment });
      }
    } catch (error) {
      this.del(attachment);
      throw error;
    }
    const result = prevResult as Answer;
    this.#results.set(keyOf(attachment), { attachment, result });
    return result;
  }

  /** In reverse, each plugin with the final result of ADD. */
  del(attachment: ListAttachment): void {
    const prevResult = this.#results.get(keyOf(attachment))?.result;
    for (const plugin of this.#plugins.toReversed()) this.#call("DEL", plugin, { prevResult, attachment });
    this.#results.delete(keyOf(attachment));
  }

  /** In order, each plugin with the final result of ADD. */
  check(attachment: ListAttachment): void {
    const prevResult = this.#results.get(keyOf(attachment))?.result;
    for (const plugin of this.#plugins) this.#call("CHECK", plugin, { prevResult, attachment });
  }

  /** In order; the first that is not ready decides. */
  status(): void {
    for (const plugin of this.#plugins) this.#call("STATUS", plugin);
  }

  /** Every plugin is told which attachments there are, even when one before it refused; then the first refusal is thrown. */
  gc(valid: readonly ListAttachment[]): void {
    const attachments = valid.map(({ containerId, ifName = "eth0" }) => ({
      containerID: containerId,
      ifname: ifName,
    }));
    const refusals: unknown[] = [];
    for (const plugin of this.#plugins) {
      try {
        this.#call("GC", plugin, { keys: { "cni.dev/valid-attachments": attachments } });
      } catch (error) {
        refusals.push(error);
      }
    }
    if (refusals.length > 0) throw refusals[0];
  }

  /** One plugin's configuration is its own keys with the list's name and version, and what the call adds. */
  #call(verb: Verb, plugin: PluginConfiguration, { prevResult, attachment, keys }: CallOptions = {}): Answer {
    const { capabilities = {}, ...own } = plugin;
    const offered = Object.entries(attachment?.offers ?? {}).filter(([name]) => capabilities[name]);
    const netconf = {
      ...own,
      cniVersion: "1.1.0",
      name: "podnet",
      ...(offered.length > 0 ? { runtimeConfig: Object.fromEntries(offered) } : {}),
      ...(prevResult ? { prevResult } : {}),
      ...keys,
    };
    const environment = {
      PATH: process.env.PATH,
      CNI_COMMAND: verb,
      CNI_PATH: this.#path,
      CNI_CONTAINERID: attachment?.containerId ?? "",
      CNI_NETNS: this.#netns(attachment),
      CNI_IFNAME: attachment ? (attachment.ifName ?? "eth0") : "",
      CNI_ARGS: "",
    };
    return this.#run(verb, plugin.type, JSON.stringify(netconf), environment);
  }

  /** Empty when the sandbox is gone, as a runtime that notices has it. */
  #netns(attachment: ListAttachment | undefined): string {
    const path = attachment?.sandbox.path ?? "";
    return existsSync(path) ? path : "";
  }

  #run(verb: Verb, type: string, input: string, env: Readonly<Record<string, string | undefined>>): Answer {
    const command = [`--net=${this.#host.path}`, "--", join(this.#path, type)];
    const options = { env, extendEnv: false, input, timeout: 30_000, reject: false } as const;
    const { exitCode, stdout, stderr } = execaSync("nsenter", command, options);
    if (stdout === "" && exitCode !== 0) throw new Error(`Cannot run ${type}: ${stderr}`);
    const answer = stdout === "" ? {} : JSON.parse(stdout);
    if (exitCode !== 0) throw new PluginRefusal(type, verb, answer);
    return answer;
  }
}

type CallOptions = {
  readonly prevResult?: Answer | undefined;
  readonly attachment?: ListAttachment;
  readonly keys?: Readonly<Record<string, unknown>>;
};

function keyOf({ containerId, ifName = "eth0" }: ListAttachment): string {
  return `${containerId}/${ifName}`;
}
