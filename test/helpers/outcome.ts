/** What the conformance tests ask of every answer, and of a host when all is over. */

import { Database } from "bun:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { TestHost, TestNetns } from "./lab.ts";
import type { Answer, PluginOutcome } from "./plugin.ts";
import { assertValid } from "./schema.ts";

/** An error object, its shape checked. */
export type Refusal = { readonly cniVersion: string; code: number; msg: string; details?: string };

/** The result of a call that succeeded, without a word on stderr. */
export function succeeded(outcome: PluginOutcome): Answer {
  expect(outcome, outcome.stdout).toMatchObject({ exitCode: 0, stderr: "", json: expect.any(Object) });
  return outcome.json as Answer;
}

/** Success of a verb that has nothing to say. */
export function silent(outcome: PluginOutcome): void {
  expect(outcome, outcome.stdout).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
}

/** The error object of a call that was refused with that code: valid, alone on stdout, without a stack trace. */
export function refused(outcome: PluginOutcome, code: number): Refusal {
  expect(outcome, outcome.stdout).toMatchObject({ exitCode: 1, stderr: "", json: { code } });
  assertValid("error", outcome.json);
  expect(outcome.stdout).not.toMatch(/\n./);
  expect(outcome.stdout).not.toMatch(/\\n\s+at |\.[jt]s:\d/);
  return outcome.json as Refusal;
}

/** What a network left on a host: nothing, when all its attachments are gone. */
export type Remains = {
  /** Names of veth ends other than the uplink. */
  readonly links: readonly string[];
  /** Destinations of the routes that carry our mark, `proto 32`. */
  readonly routes: readonly string[];
  /** Addresses of permanent neighbours. */
  readonly neighbours: readonly string[];
  /** Recorded attachments, as "containerId/ifName". */
  readonly attachments: readonly string[];
  /** How many addresses are leased. */
  readonly leases: number;
};

export const NOTHING: Remains = { links: [], routes: [], neighbours: [], attachments: [], leases: 0 };

/** Looks with iproute2 and into the database. */
export function remains(host: TestHost, network = "podnet"): Remains {
  return { links: hostEnds(host), ...hostEntries(host), ...leased(host, network) };
}

/** Names of the host ends on a host. */
export function hostEnds(host: TestHost): string[] {
  const links = host.ip("link", "show", "type", "veth") as { ifname: string }[];
  return links.map(({ ifname }) => ifname).filter((name) => name !== "uplink0");
}

function hostEntries(host: TestHost): Pick<Remains, "routes" | "neighbours"> {
  const list = (...args: string[]) => ["-4", "-6"].flatMap((family) => entries(host, family, ...args));
  return {
    routes: list("route", "show", "proto", "32"),
    neighbours: list("neighbour", "show", "nud", "permanent"),
  };
}

function entries(netns: TestNetns, ...args: string[]): string[] {
  return ((netns.ip(...args) ?? []) as { dst: string }[]).map(({ dst }) => dst);
}

function leased({ stateDir }: TestHost, network: string): Pick<Remains, "attachments" | "leases"> {
  const path = join(stateDir, network, "leases.db");
  if (!existsSync(path)) return { attachments: [], leases: 0 };
  using database = new Database(path, { readonly: true });
  const attachments = database.query("SELECT container_id || '/' || if_name FROM attachment").values();
  const [[leases]] = database.query("SELECT count(*) FROM address WHERE held_by IS NOT NULL").values() as [
    [number],
  ];
  return { attachments: attachments.flat().map(String), leases };
}
