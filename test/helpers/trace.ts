/** A host with two pods, and `slash32 trace` on it. */

import { expect } from "vitest";
import { TestHost, TestNetns } from "./lab.ts";
import { add, EXECUTABLE, netconf } from "./plugin.ts";

const DUAL = [[{ subnet: "10.20.1.0/24" }], [{ subnet: "fd00:20::/64" }]];

/** As `--json` prints it. */
export type Fact = {
  place: string;
  subject: string;
  seen: string;
  expected?: string;
  verdict: "ok" | "wrong" | "warning" | "unknown";
  why?: string;
  mend?: string;
};

export type Traced = {
  exitCode: number;
  verdict: string;
  firstWrong?: Fact;
  mtu?: number;
  probe?: {
    isAnswered: boolean;
    refusal?: string;
    sightings: {
      place: string;
      interface: string;
      direction: "in" | "out";
      kind: string;
      packet: string;
      isSeen: boolean;
      isExpected: boolean;
    }[];
  };
  hops: { place: string; way: string; facts: Fact[] }[];
};

/** A host with the dual-stack pods default/web-0 (10.20.1.2) and default/db-0 (10.20.1.3). */
export class TraceBench implements Disposable {
  readonly host = new TestHost();
  readonly web = new TestNetns("web");
  readonly db = new TestNetns("db");
  /** What the sandboxes are called among the places. */
  readonly places = { web: "sandbox default/web-0", db: "sandbox default/db-0" };
  readonly webEnd: string;
  readonly dbEnd: string;

  constructor() {
    [this.webEnd, this.dbEnd] = [
      this.#add("aaaa1111", "web-0", this.web),
      this.#add("aaaa2222", "db-0", this.db),
    ];
  }

  #add(containerId: string, name: string, netns: TestNetns): string {
    const { host } = this;
    const args = `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;
    const outcome = add({
      host,
      netns,
      containerId,
      args,
      netconf: netconf(host, { ipam: { ranges: DUAL } }),
    });
    expect(outcome, outcome.stdout).toMatchObject({ exitCode: 0 });
    return outcome.json?.interfaces?.[0]?.name ?? "";
  }

  /** What a person would see. */
  text(...args: string[]) {
    return this.host.exec(EXECUTABLE, "trace", "--state-dir", this.host.stateDir, ...args);
  }

  trace(...args: string[]): Traced {
    const { stdout, stderr, exitCode } = this.text("--json", ...args);
    if (stdout === "") throw new Error(stderr);
    return { exitCode, ...JSON.parse(stdout) };
  }

  /** The first fact about a subject. */
  fact(traced: Traced, subject: string): Fact | undefined {
    return facts(traced).find((fact) => fact.subject === subject);
  }

  /** A command typed on the host as root. */
  type(command: string): void {
    const { exitCode, stderr, stdout } = this.host.exec("sh", "-c", command);
    if (exitCode !== 0) throw new Error(`Cannot ${command}: ${stderr}${stdout}`);
  }

  [Symbol.dispose](): void {
    this.db[Symbol.dispose]();
    this.web[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** All facts in the order of the way. */
export function facts({ hops }: Traced): Fact[] {
  return hops.flatMap((hop) => hop.facts);
}
