// A machine with containerd, kubelet and kube-proxy. What is on its disk stays when it is rebooted, all else is gone.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ExecaError, execaSync } from "execa";
import { Enclosure } from "../helpers/enclosure.ts";
import type { CommandOutcome, TestNetns } from "../helpers/lab.ts";
import type { ControlPlane } from "./control-plane.ts";
import { prepareMachine, restarting, seen } from "./machine.ts";
import {
  CONFIGURATION,
  CONTAINERD_SOCKET,
  containerdConfiguration,
  kubeletConfiguration,
  proxyConfiguration,
} from "./node-files.ts";
import type { Place } from "./place.ts";

/** Of the reference plugins, those that every node has; containerd 1.6 calls `loopback` for every pod. */
const PLUGINS = ["loopback", "portmap"];
const REFERENCE = "/usr/lib/cni";
export interface NodeOptions {
  readonly name: string;
  /** On the network that joins the machines. */
  readonly address: string;
  /** Where Kubernetes' executables are. */
  readonly binaries: string;
  /** The program that is to be its first process; like images, a file that the place shares. */
  readonly init: string;
}

export class Node implements AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly #options: NodeOptions;
  readonly #place: Place;
  /** What stands for /etc, /opt, /var/lib and /var/log on the node. */
  readonly #disk: string;
  readonly #logs: string;
  #running: { readonly network: TestNetns; readonly enclosure: Enclosure } | undefined;

  /** Writes its disk; it is not switched on. */
  constructor(place: Place, controlPlane: ControlPlane, options: NodeOptions) {
    this.name = options.name;
    this.address = options.address;
    this.#options = options;
    this.#place = place;
    this.#disk = join(place.directory, this.name);
    this.#logs = join(place.logs, this.name);
    mkdirSync(this.#logs);
    this.#writeDisk(controlPlane);
  }

  #writeDisk(controlPlane: ControlPlane): void {
    for (const directory of ["var/lib", "opt/cni/bin"])
      mkdirSync(join(this.#disk, directory), { recursive: true });
    execaSync("cp", ["--archive", "/etc", this.#disk]);
    // What this machine has there is for pods of its own.
    for (const name of ["cni", "containerd", "kubernetes"])
      rmSync(join(this.#disk, "etc", name), { recursive: true, force: true });
    for (const plugin of PLUGINS)
      copyFileSync(join(REFERENCE, plugin), join(this.#disk, "opt/cni/bin", plugin));
    this.#write("/etc/containerd/config.toml", containerdConfiguration());
    this.#write(`${CONFIGURATION}/kubelet.json`, kubeletConfiguration());
    this.#write(`${CONFIGURATION}/kube-proxy.json`, proxyConfiguration());
    this.#write(`${CONFIGURATION}/kube-proxy.conf`, controlPlane.kubeconfig("/CN=system:kube-proxy"));
    const kubelet = `/O=system:nodes/CN=system:node:${this.name}`;
    this.#write(`${CONFIGURATION}/kubelet.conf`, controlPlane.kubeconfig(kubelet));
    copyFileSync(controlPlane.authority.caFile, join(this.#disk, CONFIGURATION, "authority.crt"));
  }

  #write(path: string, content: string): void {
    const file = join(this.#disk, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  /** Its network and daemons come to life; neither is ready when this returns. */
  async switchOn(): Promise<void> {
    const { binaries, init } = this.#options;
    const network = this.#place.addMachine(this.name, this.address);
    const { shared } = this.#place;
    const preparation = prepareMachine({ name: this.name, disk: this.#disk, logs: this.#logs, shared });
    const enclosure = await Enclosure.open(network, seen(init), preparation);
    this.#running = { network, enclosure };
    const start = (program: string, ...command: readonly string[]) =>
      enclosure.start(join(this.#logs, `${program}.log`), ...restarting(...command));
    start("containerd", "containerd");
    start("kube-proxy", join(binaries, "kube-proxy"), `--config=${CONFIGURATION}/kube-proxy.json`);
    start("kubelet", join(binaries, "kubelet"), ...this.#kubeletOptions());
  }

  #kubeletOptions(): string[] {
    return [
      `--config=${CONFIGURATION}/kubelet.json`,
      `--kubeconfig=${CONFIGURATION}/kubelet.conf`,
      "--container-runtime=remote",
      `--container-runtime-endpoint=unix://${CONTAINERD_SOCKET}`,
      `--node-ip=${this.address}`,
    ];
  }

  /** As if its plug were pulled: no process ends by itself, and only its disk is left. Harmless when it is off. */
  async switchOff(): Promise<void> {
    const { network, enclosure } = this.#running ?? {};
    this.#running = undefined;
    await enclosure?.[Symbol.asyncDispose]();
    network?.[Symbol.dispose]();
  }

  /** Loads an archive of images that the place shares, as soon as containerd answers. */
  async import(archive: string): Promise<void> {
    const ctr = `ctr --address ${CONTAINERD_SOCKET} --namespace k8s.io`;
    const wait = `until ${ctr} version >/dev/null 2>&1; do sleep 0.1; done`;
    await this.run("sh", "-euc", `${wait}; ${ctr} images import ${seen(archive)}`);
  }

  /** Runs a command on it. A failing one is an outcome, not an error. */
  exec(...command: readonly string[]): CommandOutcome {
    return this.#on.enclosure.exec(...command);
  }

  /** Runs a command on it; what it printed. Throws when it fails, with what it said. */
  async run(...command: readonly string[]): Promise<string> {
    try {
      return await this.#on.enclosure.run(...command);
    } catch (error) {
      const { stderr, message } = error as ExecaError<{ readonly encoding: "utf8" }>;
      throw new Error(`Cannot run ${command.join(" ")} on ${this.name}: ${stderr || message}`, {
        cause: error,
      });
    }
  }

  /** `ip -json <args>` on it. */
  ip(...args: readonly string[]): unknown {
    return this.#on.network.ip(...args);
  }

  get #on() {
    if (this.#running === undefined) throw new Error(`Cannot use ${this.name}: it is switched off`);
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.switchOff();
  }
}
