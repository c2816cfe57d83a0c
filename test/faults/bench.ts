/** A node with two pods to break things on, and slash32's own words about it. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { TestNode } from "../helpers/doctor.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

/** What is named first, and the command offered with it. */
export type Named = { readonly says: string; readonly mend: string };

export type Answer = {
  readonly exitCode: number;
  /** Absent when all is well. */
  readonly first: Named | undefined;
  /** Every command that is offered. */
  readonly mends: readonly string[];
};

/** Programs of a machine that is not the laboratory's; they do nothing, but for what is needed of them. */
const STAND_INS: Readonly<Record<string, string>> = {
  systemctl: "exit 0",
  networkctl: "exit 0",
  "apt-get": "exit 0",
  kubectl: `echo '{ "spec": { "podCIDRs": ["10.20.1.0/24"] } }'`,
};

/** Of the node, and not of the machine that the tests run on. */
const OWN_DIRECTORIES = ["etc", "var/lib"];

/**
 * The pods are default/web-0 (10.20.1.2, fd00:20::2) and default/web-1 (…3), the host's way out is uplink0. The
 * variables of a fault's script: HOST, POD, POD2 and ROUTER (namespaces), END and END2 (host ends), CONF, CONFLIST and
 * BIN (the runtime's), STATE (leases), ROOT (the node's other files), DISK (a directory on no tmpfs).
 */
export class FaultBench implements Disposable {
  readonly #resources = new DisposableStack();
  readonly #node: TestNode;
  readonly #environment: Readonly<Record<string, string>>;

  constructor() {
    this.#node = this.#resources.use(new TestNode());
    const { host, pods, confDir, conflist, binDir, root } = this.#node;
    const disk = mkdtempSync("/var/tmp/slash32-state-");
    this.#resources.defer(() => rmSync(disk, { recursive: true }));
    const standIns = join(root, "stand-ins");
    for (const directory of [standIns, ...OWN_DIRECTORIES.map((own) => join(root, own))])
      mkdirSync(directory, { recursive: true });
    for (const [name, script] of Object.entries(STAND_INS)) {
      writeFileSync(join(standIns, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const routes = host.ip("route", "show", "proto", "32") as { dst: string; dev: string }[];
    const end = (address: string) => routes.find(({ dst }) => dst === address)?.dev ?? "";
    this.#environment = {
      PATH: `${standIns}:${process.env.PATH}:${binDir}`,
      HOST: host.name,
      POD: pods[0]?.name ?? "",
      POD2: pods[1]?.name ?? "",
      ROUTER: host.router.name,
      END: end("10.20.1.2"),
      END2: end("10.20.1.3"),
      CONF: confDir,
      CONFLIST: conflist,
      BIN: binDir,
      STATE: host.stateDir,
      ROOT: root,
      DISK: disk,
    };
  }

  /** Runs a script in the host's network. Throws when it fails. */
  run(path: string): void {
    this.#shell(["sh", "-eu", path]);
  }

  /** Types a command as root. The node's /etc and /var/lib are those below ROOT. */
  type(command: string): void {
    const known = command.replaceAll("<router>", command.includes("-6") ? "2001:db8::fe" : "192.0.2.254");
    const typed = known.replaceAll("<interface>", "uplink0");
    const mounts = OWN_DIRECTORIES.filter((directory) => typed.includes(`/${directory}/`)).map(
      (directory) => `mount --bind ${join(this.#node.root, directory)} /${directory}; `,
    );
    this.#shell(["unshare", "--mount", "sh", "-euc", mounts.join("") + typed]);
  }

  /** Asks slash32, with what tells it where this node keeps its things. */
  ask(asked: string): Answer {
    const [, command = "", ...operands] = asked.split(" ").map((text) => this.#expanded(text));
    const state = ["--state-dir", this.#node.host.stateDir];
    const places = {
      check: ["--cni-conf-dir", this.#node.confDir, ...state],
      doctor: this.#node.options,
      ipam: state,
      trace: state,
    }[command] as string[];
    const [sub, ...rest] = command === "ipam" ? operands : ["", ...operands];
    const args = [command, ...(sub ? [sub] : []), ...places, "--json", ...rest];
    const { stdout, stderr, exitCode = -1 } = this.#spawn([EXECUTABLE, ...args]);
    if (stdout === "") throw new Error(`Cannot understand ${asked}: ${stderr}`);
    const named = READERS[command]?.(JSON.parse(stdout)) ?? [];
    return { exitCode, first: named[0], mends: named.map(({ mend }) => mend) };
  }

  #expanded(text: string): string {
    return text.replace(/^"?\$(\w+)"?$/, (_, name) => this.#environment[name] ?? "");
  }

  #shell(command: readonly string[]): void {
    const { exitCode, stderr, stdout } = this.#spawn(command);
    if (exitCode !== 0) throw new Error(`Cannot run ${command.join(" ")}: ${stderr}${stdout}`);
  }

  #spawn(command: readonly string[]) {
    return execaSync("nsenter", [`--net=${this.#node.host.path}`, "--", ...command], {
      reject: false,
      env: { ...this.#environment, CNI_COMMAND: undefined },
      timeout: 20_000,
    });
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what the commands print is their tests' affair
const READERS: Readonly<Record<string, (told: any) => Named[]>> = {
  check: ({ attachments }) => attachments.flatMap(({ differences }: never) => asNamed(differences)),
  doctor: ({ findings }) =>
    findings.map(({ seen, type }: Record<string, string>) => ({ says: seen, mend: type })),
  ipam: ({ findings, left }) => asNamed(findings ?? left),
  trace: ({ firstWrong }) => {
    if (firstWrong === undefined) return [];
    const { place, subject, seen, mend = "" } = firstWrong;
    return [{ says: `${place}: ${subject}: ${seen}`, mend }];
  },
};

function asNamed(findings: readonly Record<string, unknown>[]): Named[] {
  return findings.map(({ subject, is, should, restore, mends, advice }) => {
    const commands = (mends as string[] | undefined) ?? [String(restore)];
    const mend = commands.length > 0 ? commands.join(" && ") : String(advice);
    return { says: `${subject} is ${is}, should be ${should}`, mend: mend.replace(/^# /, "") };
  });
}
