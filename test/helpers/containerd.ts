/** containerd, configured and started for one test: driven through the CRI, as the kubelet does. */

import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { type Cri, connectCri } from "./cri.ts";
import type { Enclosure } from "./enclosure.ts";
import { IMAGE } from "./image.ts";
import { EXECUTABLE, type NetworkConfiguration } from "./plugin.ts";

/** Where Debian has the reference plugins. */
const REFERENCE = "/usr/lib/cni";

export type ContainerdOptions = {
  /** Where it keeps everything; made if need be. Short, as it holds sockets. */
  readonly directory: string;
  /** An archive that holds IMAGE. */
  readonly image: string;
  /** Lists of plugins by the name of the runtime handler that uses them; the first is the default. */
  readonly networks: Readonly<Record<string, NetworkConfiguration>>;
  /** Further plugins: shell scripts by name. */
  readonly scripts?: Readonly<Record<string, string>>;
};

export class Containerd {
  readonly socket: string;
  readonly #enclosure: Enclosure;
  readonly #directory: string;
  #cri: Cri | undefined;

  private constructor(enclosure: Enclosure, directory: string) {
    this.#enclosure = enclosure;
    this.#directory = directory;
    this.socket = join(directory, "containerd.sock");
  }

  /** Sets it up, starts it and loads the image. It ends with the enclosure. */
  static async start(enclosure: Enclosure, options: ContainerdOptions): Promise<Containerd> {
    const { directory, image, networks, scripts = {} } = options;
    mkdirSync(directory, { recursive: true });
    installPlugins(join(directory, "bin"), scripts);
    for (const [handler, list] of Object.entries(networks)) {
      const place = join(directory, "net.d", handler);
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, "10-test.conflist"), JSON.stringify(list));
    }
    writeFileSync(join(directory, "config.toml"), configuration(directory, Object.keys(networks)));

    const containerd = new Containerd(enclosure, directory);
    await containerd.start();
    const { socket } = containerd;
    await enclosure.run("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", image);
    return containerd;
  }

  /** Its log, for whoever wonders. */
  get log(): string {
    return readFileSync(join(this.#directory, "log"), "utf8");
  }

  get cri(): Cri {
    if (this.#cri === undefined) throw new Error("Cannot call containerd: it is not running");
    return this.#cri;
  }

  /** Starts it, and returns when it answers and has found a network configuration. */
  async start(): Promise<void> {
    const script = 'cd "$1"; echo $$ >pid; exec containerd --config config.toml';
    const log = join(this.#directory, "log");
    const running = this.#enclosure.start(log, "sh", "-euc", script, "sh", this.#directory);
    this.#cri = connectCri(this.socket);
    const deadline = Date.now() + START_MS;
    while (!(await isReady(this.cri))) {
      if (running.exitCode !== null || Date.now() > deadline)
        throw new Error(`Cannot start containerd:\n${this.log}`);
      await Bun.sleep(100);
    }
  }

  /** Ends it at once, without a chance to tidy up. Its containers go on. */
  kill(): void {
    this.#cri?.close();
    this.#cri = undefined;
    const pid = readFileSync(join(this.#directory, "pid"), "utf8").trim();
    const { exitCode, stderr } = this.#enclosure.exec("kill", "-9", pid);
    if (exitCode !== 0) throw new Error(`Cannot end containerd: ${stderr}`);
  }
}

const START_MS = 60_000;

/** There is a "RuntimeReady" and a "NetworkReady". */
async function isReady(cri: Cri): Promise<boolean> {
  try {
    const { status } = await cri.Status({});
    return status.conditions.every((condition) => condition.status);
  } catch {
    return false;
  }
}

/** containerd 1.6 calls `loopback` for every pod. */
function installPlugins(directory: string, scripts: Readonly<Record<string, string>>): void {
  mkdirSync(directory, { recursive: true });
  symlinkSync(EXECUTABLE, join(directory, "slash32"));
  for (const name of ["loopback", "portmap", "ptp", "host-local"]) {
    symlinkSync(join(REFERENCE, name), join(directory, name));
  }
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(directory, name), script);
    chmodSync(join(directory, name), 0o755);
  }
}

/** In a configuration of containerd, at the top: what it would complain of, and nobody here uses. */
export const ONLY_WHAT_IS_NEEDED = `imports = []
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]`;

/** And of its CRI plugin: what a kernel in a virtual machine or in a container may lack. */
export const ANY_KERNEL = `  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = true`;

/** As a node has it, but for what is the machine's: paths, and what a kernel in a virtual machine may lack. */
function configuration(directory: string, handlers: readonly string[]): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  const runc = execaSync("sh", ["-c", "command -v runc || echo /usr/sbin/runc"]).stdout;
  const runtimes = handlers.map(
    (handler) => `
[${cri}.containerd.runtimes.${handler}]
  runtime_type = "io.containerd.runc.v2"
  cni_conf_dir = "${directory}/net.d/${handler}"
[${cri}.containerd.runtimes.${handler}.options]
  BinaryName = "${runc}"
  SystemdCgroup = false
`,
  );
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
${ONLY_WHAT_IS_NEEDED}
required_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
  address = "${directory}/containerd.sock"
[ttrpc]
  address = "${directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"

[${cri}]
  sandbox_image = "${IMAGE}"
${ANY_KERNEL}
  disable_tcp_service = true
  netns_mounts_under_state_dir = true
[${cri}.cni]
  bin_dir = "${directory}/bin"
  conf_dir = "${directory}/net.d/${handlers[0]}"
[${cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "${handlers[0]}"
${runtimes.join("")}`;
}
