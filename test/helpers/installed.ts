/** A node to install on: a host, a root with the runtime's directories, and what is seen of slash32 on it. */

import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type PersonOptions, slash32 } from "./command.ts";
import { type CommandOutcome, TestHost, type TestHostOptions, TestNetns } from "./lab.ts";
import { ListRunner } from "./list.ts";
import { EXECUTABLE } from "./plugin.ts";

export const CONFLIST = "/etc/cni/net.d/10-slash32.conflist";
export const POD_CIDR = "10.20.1.0/24";

/** Its root is a directory of the lab's /run, a tmpfs: `--root`. What was installed there goes when it goes. */
export class InstallNode implements Disposable {
  readonly host: TestHost;
  readonly root: string;
  readonly #resources = new DisposableStack();

  constructor(options: TestHostOptions = {}) {
    this.host = this.#resources.use(new TestHost(options));
    this.root = mkdtempSync("/run/slash32-node-");
    this.#resources.defer(() => rmSync(this.root, { recursive: true, force: true }));
    this.clear();
  }

  /** Empties it, but for the directories that every node has. */
  clear(): void {
    for (const name of readdirSync(this.root)) rmSync(join(this.root, name), { recursive: true });
    for (const made of ["opt/cni/bin", "etc/cni/net.d", "run"]) {
      mkdirSync(join(this.root, made), { recursive: true });
    }
  }

  /** As in an init container; what it printed. */
  install(args: readonly string[] = ["--pod-cidr", POD_CIDR], options: PersonOptions = {}): CommandOutcome {
    return slash32(this.host, ["install", "--root", this.root, ...args], options);
  }

  uninstall(...args: readonly string[]): CommandOutcome {
    return slash32(this.host, ["uninstall", "--root", this.root, ...args]);
  }

  /** A file of the node, by its path there. */
  at(path: string): string {
    return join(this.root, path);
  }

  read(path: string): string {
    return readFileSync(this.at(path), "utf8");
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), text);
  }

  /** Plugins of Debian's beside slash32. */
  plugins(...names: readonly string[]): void {
    for (const name of names) copyFileSync(join("/usr/lib/cni", name), this.at(`opt/cni/bin/${name}`));
  }

  /** The list that a runtime would use, its paths as they are seen from here. */
  list(path = CONFLIST) {
    const list = JSON.parse(this.read(path));
    const [own, ...others] = list.plugins;
    const stateDir = this.at(own.stateDir ?? "/run/slash32");
    const logFile = own.logFile && this.at(own.logFile);
    return { ...list, plugins: [{ ...own, stateDir, logFile }, ...others] };
  }

  /** A runtime that reads the list now, and starts what is installed. */
  runtime(): ListRunner {
    return new ListRunner(this.host, this.list(), [this.at("opt/cni/bin")]);
  }

  /** A pod of that name by this runtime; it goes when the node goes. */
  pod(name: string, runtime = this.runtime()): TestNetns {
    const netns = this.#resources.use(new TestNetns("pod"));
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;
    runtime.add({ containerId: name, netns, args });
    return netns;
  }

  /** Every file below the root: its path, and what kind it is, with its size and permissions. */
  files(): string[] {
    const entries = readdirSync(this.root, { recursive: true, encoding: "utf8" });
    return entries
      .filter((path) => !lstatSync(this.at(path)).isDirectory())
      .map((path) => {
        const { mode, size } = lstatSync(this.at(path));
        return `/${path} ${(mode & 0o7777).toString(8)} ${size}`;
      })
      .sort();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

/** Of the executable under test. */
export const EXECUTABLE_BYTES = lstatSync(EXECUTABLE).size;
