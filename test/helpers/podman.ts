/** podman with its CNI back end, with storage, networks and settings of its own. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { Enclosure } from "./enclosure.ts";
import type { CommandOutcome } from "./lab.ts";
import { EXECUTABLE, type NetworkConfiguration } from "./plugin.ts";

/** Where Debian has the reference plugins. */
const REFERENCE = "/usr/lib/cni";

export type PodmanOptions = {
  /** Where it keeps everything; made if need be. */
  readonly directory: string;
  /** An archive of an image. */
  readonly image: string;
  /** Lists of plugins; the first is the default network. */
  readonly networks: readonly (NetworkConfiguration & { readonly name: string })[];
};

export class Podman {
  readonly #enclosure: Enclosure;
  readonly #directory: string;

  private constructor(enclosure: Enclosure, directory: string) {
    this.#enclosure = enclosure;
    this.#directory = directory;
  }

  /** Sets it up and loads the image. Containers end with the enclosure. */
  static async open(enclosure: Enclosure, { directory, image, networks }: PodmanOptions): Promise<Podman> {
    for (const name of ["bin", "net.d", "root", "run", "tmp"])
      mkdirSync(join(directory, name), { recursive: true });
    symlinkSync(EXECUTABLE, join(directory, "bin/slash32"));
    for (const list of networks)
      writeFileSync(join(directory, `net.d/${list.name}.conflist`), JSON.stringify(list));
    writeFileSync(join(directory, "containers.conf"), settings(directory, networks[0]?.name ?? ""));
    const podman = new Podman(enclosure, directory);
    await podman.run("load", "--quiet", "--input", image);
    return podman;
  }

  /** `podman <args>`. A failing command is an outcome, not an error. */
  async exec(...args: readonly string[]): Promise<CommandOutcome> {
    const at = (name: string) => join(this.#directory, name);
    const places = [`--root=${at("root")}`, `--runroot=${at("run")}`, `--tmpdir=${at("tmp")}`];
    const [program, ...rest] = this.#enclosure.command("podman", ...places, "--storage-driver=vfs", ...args);
    const env = { CONTAINERS_CONF: at("containers.conf") };
    const {
      stdout,
      stderr,
      exitCode = -1,
    } = await execa(program, rest, {
      env,
      stdin: "ignore",
      timeout: 120_000,
      reject: false,
    });
    return { stdout, stderr, exitCode };
  }

  /** `podman <args>`; what it printed. Rejects when it fails. */
  async run(...args: readonly string[]): Promise<string> {
    const { stdout, stderr, exitCode } = await this.exec(...args);
    if (exitCode !== 0) throw new Error(`Cannot podman ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Ends and removes all containers. podman 4 refuses one that ends just when it is to be killed; and once more takes it. */
  async removeAll(): Promise<void> {
    const command = ["rm", "--all", "--force", "--time=1"] as const;
    if ((await this.exec(...command)).exitCode !== 0) await this.run(...command);
  }

  /** Starts a container of the image in the background, with options of `podman run`; its ID. */
  async start(options: readonly string[], image: string, ...args: readonly string[]): Promise<string> {
    const cgroup = `--cgroup-parent=/${this.#enclosure.cgroup}`;
    return await this.run("run", "--detach", "--pull=never", cgroup, ...options, image, ...args);
  }

  /** `podman inspect` of a container: its networks by name. */
  async networks(container: string): Promise<Readonly<Record<string, PodmanNetwork>>> {
    return JSON.parse(await this.run("inspect", "--format", "{{json .NetworkSettings.Networks}}", container));
  }
}

export type PodmanNetwork = {
  readonly IPAddress: string;
  readonly IPPrefixLen: number;
  readonly MacAddress: string;
};

/** Locks in files, as those in shared memory would be the machine's. */
function settings(directory: string, network: string): string {
  return `[network]
network_backend = "cni"
cni_plugin_dirs = ["${directory}/bin", "${REFERENCE}"]
network_config_dir = "${directory}/net.d"
default_network = "${network}"

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
`;
}
