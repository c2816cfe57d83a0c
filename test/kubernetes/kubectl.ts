// kubectl, as an administrator of the cluster types it.
import { execa } from "execa";
import type { Enclosure } from "../helpers/enclosure.ts";

export interface Resource {
  readonly metadata: { readonly name: string };
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

export interface NodeResource extends Resource {
  readonly spec: { readonly podCIDR?: string };
  readonly status: { readonly conditions?: readonly Condition[] };
}

export interface PodResource extends Resource {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly podIP?: string; readonly conditions?: readonly Condition[] };
}

/** Longer than any command takes that does not wait for something itself. */
const TIMEOUT_MS = 600_000;

export class Kubectl {
  readonly #enclosure: Enclosure;
  readonly #path: string;
  readonly #kubeconfig: string;

  /** `path` is the executable's, `kubeconfig` that of a file. */
  constructor(enclosure: Enclosure, path: string, kubeconfig: string) {
    this.#enclosure = enclosure;
    this.#path = path;
    this.#kubeconfig = kubeconfig;
  }

  /** What it printed. Rejects when it fails, with what it said. */
  async run(...args: readonly string[]): Promise<string> {
    return await this.#run(args, "");
  }

  /** The same, with a text on standard input. */
  async pipe(input: string, ...args: readonly string[]): Promise<string> {
    return await this.#run(args, input);
  }

  /** `kubectl get`, of several. */
  async get<R extends Resource>(...args: readonly string[]): Promise<readonly R[]> {
    return JSON.parse(await this.run("get", "--output=json", ...args)).items;
  }

  /** A command in the only container of a pod; what it printed. */
  async exec(pod: string, ...command: readonly string[]): Promise<string> {
    return await this.run("exec", pod, "--", ...command);
  }

  /** Starts it, and leaves its standard input to the caller. Its failure is an outcome. */
  start(...args: readonly string[]) {
    const [program, ...rest] = this.#enclosure.command(
      this.#path,
      `--kubeconfig=${this.#kubeconfig}`,
      ...args,
    );
    return execa(program, rest, { reject: false, timeout: TIMEOUT_MS });
  }

  async #run(args: readonly string[], input: string): Promise<string> {
    const running = this.start(...args);
    running.stdin.end(input);
    const { failed, stdout, stderr, shortMessage } = await running;
    if (failed) throw new Error(`Cannot kubectl ${args.join(" ")}: ${stderr || shortMessage}`);
    return stdout;
  }
}

/** What a resource says of itself in one respect; undefined when nobody has looked yet. */
export function condition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((one) => one.type === type);
}
