/** A node that the doctor has nothing to say about: a host with pods, a runtime's directories, and files of others. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import { TestHost, TestNetns } from "./lab.ts";
import { succeeded } from "./outcome.ts";
import { add, EXECUTABLE, type NetworkConfiguration } from "./plugin.ts";

export type Finding = {
  readonly subject: string;
  readonly check: string;
  readonly severity: "error" | "warning";
  readonly seen: string;
  readonly why: string;
  readonly type: string;
};

export type Report = {
  readonly summary: { errors: number; warnings: number; fine: number; unable: number };
  readonly findings: readonly Finding[];
  readonly checks: readonly {
    subject: string;
    check: string;
    outcome: string;
    seen?: string;
    reason?: string;
  }[];
};

export type NodeOptions = {
  /** Pods to make, named web-0, web-1, …. Default 2. */
  readonly pods?: number;
  /** Keys of slash32's part of the list that differ from the usual. */
  readonly netconf?: NetworkConfiguration;
};

export class TestNode implements Disposable {
  readonly host: TestHost;
  readonly pods: readonly TestNetns[];
  /** The files of others: `--root`. */
  readonly root: string;
  readonly confDir: string;
  readonly binDir: string;
  /** The list of the network podnet. */
  readonly conflist: string;
  readonly executable = EXECUTABLE;
  readonly #resources = new DisposableStack();

  constructor({ pods = 2, netconf = {} }: NodeOptions = {}) {
    this.host = this.#resources.use(new TestHost());
    const directory = mkdtempSync(join(tmpdir(), "slash32-node-"));
    this.#resources.defer(() => rmSync(directory, { recursive: true }));
    this.root = join(directory, "root");
    this.confDir = join(directory, "net.d");
    this.binDir = join(directory, "bin");
    for (const made of [this.root, this.confDir, this.binDir]) mkdirSync(made);
    symlinkSync(EXECUTABLE, join(this.binDir, "slash32"));
    this.program("loopback", "exit 0");

    this.conflist = join(this.confDir, "10-slash32.conflist");
    const ranges = [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]];
    const plugin = { type: "slash32", stateDir: this.host.stateDir, ipam: { ranges }, ...netconf };
    const list = { cniVersion: "1.0.0", name: "podnet", plugins: [plugin] };
    writeFileSync(this.conflist, JSON.stringify(list, null, 2), { mode: 0o600 });

    this.pods = Array.from({ length: pods }, (_, at) => {
      const pod = this.#resources.use(new TestNetns("pod"));
      const args = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-${at}`;
      const conf = { ...plugin, cniVersion: "1.0.0", name: "podnet" };
      succeeded(add({ host: this.host, netns: pod, containerId: `container-${at}`, args, netconf: conf }));
      return pod;
    });
  }

  /** A further sandbox, which nobody has wired yet. */
  sandbox(): TestNetns {
    return this.#resources.use(new TestNetns("pod"));
  }

  /** The first pod's host end and addresses. */
  get hostEnd(): string {
    const routes = this.host.ip("route", "show", "proto", "32") as { dst: string; dev: string }[];
    return routes.find(({ dst }) => dst === "10.20.1.2")?.dev as string;
  }

  /** A file of others, as a path on the node. */
  file(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** A program beside slash32. */
  program(name: string, script: string): void {
    writeFileSync(join(this.binDir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(this.binDir, name), 0o755);
  }

  /** Where everything is, for `slash32 doctor`. */
  get options(): string[] {
    const places = ["--root", this.root, "--cni-conf-dir", this.confDir, "--cni-bin-dir", this.binDir];
    return [...places, "--state-dir", this.host.stateDir];
  }

  /** `slash32 doctor` on the host, with what it printed. */
  doctor(...options: readonly string[]) {
    const args = [...this.options, ...options];
    return execaSync("nsenter", [`--net=${this.host.path}`, "--", EXECUTABLE, "doctor", ...args], {
      reject: false,
      env: { CNI_COMMAND: undefined },
      timeout: 20_000,
    });
  }

  report(...options: readonly string[]): Report {
    return JSON.parse(this.doctor("--json", ...options).stdout);
  }

  /** As a person would, in a root shell on the host, which finds slash32. */
  type(command: string): void {
    const { exitCode, stderr } = this.host.exec("sh", "-c", `PATH=$PATH:${this.binDir}; ${command}`);
    if (exitCode !== 0) throw new Error(`Cannot type ${command}: ${stderr}`);
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}
