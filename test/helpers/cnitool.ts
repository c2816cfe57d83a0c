/** cnitool, the program with which people try plugins, in the network of a host: scripts/build-cnitool.sh makes it. */

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import type { CommandOutcome, TestHost, TestNetns } from "./lab.ts";
import { EXECUTABLE } from "./plugin.ts";

const CNITOOL = join(import.meta.dirname, "../../node_modules/.cache/slash32/cnitool");
/** Where Debian has the reference plugins. */
const REFERENCE = "/usr/lib/cni";

/** What it was made from, and with. */
export function cnitoolVersion(): string {
  return readFileSync(`${CNITOOL}.version`, "utf8").trim();
}

export type CnitoolCall = {
  /** CNI_IFNAME. Default: not set, which is "eth0". */
  readonly ifName?: string;
  /** CNI_ARGS. Default: not set. */
  readonly args?: string;
  /** CAP_ARGS: what the runtime offers for each capability. Default: not set. */
  readonly capabilities?: object;
};

/** cnitool with network configurations, a plugin directory and memory of its own. They go when the host goes. */
export class Cnitool {
  readonly #host: TestHost;
  readonly #directory: string;

  constructor(host: TestHost) {
    this.#host = host;
    this.#directory = mkdtempSync(join(host.stateDir, "cnitool-"));
    for (const name of ["bin", "net.d", "memory"]) mkdirSync(join(this.#directory, name));
    symlinkSync(EXECUTABLE, join(this.#directory, "bin/slash32"));
  }

  /** Installs a further plugin, a shell script. */
  install(name: string, script: string): void {
    const path = join(this.#directory, "bin", name);
    writeFileSync(path, script);
    chmodSync(path, 0o755);
  }

  /** Writes a configuration: "podnet.conflist" is a list, "podnet.conf" a single plugin's. */
  configure(file: string, configuration: object): void {
    writeFileSync(join(this.#directory, "net.d", file), JSON.stringify(configuration));
  }

  /** `cnitool <verb> <network> <sandbox>`. A failing command is an outcome, not an error. */
  run(
    verb: "add" | "check" | "del",
    network: string,
    sandbox: TestNetns,
    call: CnitoolCall = {},
  ): CommandOutcome {
    const { ifName, args, capabilities } = call;
    const env = {
      PATH: process.env.PATH,
      CNI_PATH: `${join(this.#directory, "bin")}:${REFERENCE}`,
      NETCONFPATH: join(this.#directory, "net.d"),
      ...(ifName === undefined ? {} : { CNI_IFNAME: ifName }),
      ...(args === undefined ? {} : { CNI_ARGS: args }),
      ...(capabilities === undefined ? {} : { CAP_ARGS: JSON.stringify(capabilities) }),
    };
    // It keeps results below /var/lib/cni, wherever it runs.
    const script = 'mount --bind "$1" /var/lib; shift; exec "$@"';
    const inHost = ["nsenter", `--net=${this.#host.path}`, "--", CNITOOL, verb, network, sandbox.path];
    const {
      stdout,
      stderr,
      exitCode = -1,
    } = execaSync(
      "unshare",
      ["--mount", "sh", "-euc", script, "sh", join(this.#directory, "memory"), ...inHost],
      { env, extendEnv: false, timeout: 60_000, reject: false },
    );
    return { stdout, stderr, exitCode };
  }
}
