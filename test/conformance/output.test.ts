// CNI specification, section 5: one JSON object on stdout or nothing, and the exit status that decides.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { add, check, del, gc, netconf, plugin, status } from "../helpers/plugin.ts";

const host = new TestHost();
const sandbox = new TestNetns();
const call = { host, netns: sandbox, netconf: netconf(host) };

afterAll(() => {
  sandbox[Symbol.dispose]();
  host[Symbol.dispose]();
});

afterEach(() => expect(remains(host)).toEqual(NOTHING));

test("ADD prints one line of JSON; CHECK, DEL, GC and STATUS print nothing", () => {
  const added = add(call);
  expect(added.stdout).toMatch(/^\{.*\}\n$/);
  const prevResult = succeeded(added);
  silent(check({ ...call, netconf: { ...call.netconf, prevResult } }));
  silent(status(call));
  silent(gc({ ...call, netconf: { ...call.netconf, "cni.dev/valid-attachments": [] } }));
  silent(del(call));
});

describe("an error", () => {
  const FULL = {
    ipam: { ranges: [[{ subnet: "10.20.1.0/30", rangeStart: "10.20.1.1", rangeEnd: "10.20.1.1" }]] },
  };

  test.each([
    ["of the environment", 4, { ifName: "a/b" }],
    ["of the input", 6, { stdin: "{" }],
    ["of the name", 7, { stdin: "{}" }],
    ["of the version", 1, { netconf: { ...call.netconf, cniVersion: "2.0.0" } }],
    ["of the configuration", 7, { netconf: { ...call.netconf, mtu: -1 } }],
    ["of the sandbox", 8, { netns: "/nowhere" }],
    ["of the ranges", 100, { netconf: { ...call.netconf, ...FULL } }],
    ["of the kernel", 102, { ifName: "lo" }],
    ["of the store", 103, { netconf: { ...call.netconf, stateDir: "/proc/nowhere" } }],
    ["of another IPAM plugin", 105, { netconf: { ...call.netconf, ipam: { type: "no-such-plugin" } } }],
  ])("%s is one object on one line, exit status 1, and no word on stderr", (_, code, wrong) => {
    const { msg, cniVersion } = refused(add({ ...call, ...wrong }), code);
    expect(msg).toMatch(/^[A-Z][A-Za-z]+: Cannot /);
    expect(cniVersion).toBe("1.1.0");
  });

  test("quotes what it was given so that it stays one line of JSON", () => {
    const { msg } = refused(plugin("ADD", { ...call, env: { CNI_COMMAND: 'x\n"\u0007\u2028é' } }), 4);
    expect(msg).not.toContain("\n");
    expect(msg).toContain("é");
  });

  test("is short although what it quotes is long", () => {
    const long = "x".repeat(100_000);
    const { msg } = refused(add({ ...call, netconf: { ...call.netconf, gatewayNeighbour: long } }), 7);
    expect(msg.length).toBeLessThan(1000);
  });
});

describe("a reader that is gone", () => {
  test("ADD with stdout closed from the start leaves an attachment that ADD repeats and DEL removes", () => {
    const through = ["sh", "-c", 'exec "$0" >&-'];
    expect(add({ ...call, through }).stdout).toBe("");
    expect(remains(host)).toMatchObject({
      links: { length: 1 },
      attachments: ["container-1/eth0"],
      leases: 1,
    });
    const repeated = succeeded(add(call));
    silent(check({ ...call, netconf: { ...call.netconf, prevResult: repeated } }));
    silent(del(call));
  });

  test("ADD into a broken pipe fails, and leaves an attachment that ADD repeats and DEL removes", () => {
    const code = join(host.stateDir, "exit-code");
    const script = '{ sleep 0.3; "$1"; echo $? >"$0"; } | true';
    plugin("ADD", { ...call, through: ["sh", "-c", script, code] });
    expect(readFileSync(code, "utf8")).toBe("1\n");
    expect(remains(host)).toMatchObject({
      links: { length: 1 },
      attachments: ["container-1/eth0"],
      leases: 1,
    });
    succeeded(add(call));
    silent(del(call));
  });

  test("DEL into a broken pipe is whole, and success", () => {
    succeeded(add(call));
    const code = join(host.stateDir, "exit-code-of-del");
    const script = '{ sleep 0.3; "$1"; echo $? >"$0"; } | true';
    plugin("DEL", { ...call, through: ["sh", "-c", script, code] });
    expect(readFileSync(code, "utf8")).toBe("0\n");
  });

  test.each([
    ["closed", 'exec "$0" 2>&-'],
    ["a broken pipe", '{ { sleep 0.3; "$0" 2>&3; } 3>&1 >&4 | true; } 4>&1'],
    ["full", 'exec "$0" 2>/dev/full'],
  ])("stderr that is %s is no obstacle", (_, script) => {
    const through = ["sh", "-c", script];
    expect(add({ ...call, through }).json).toMatchObject({ interfaces: { length: 2 } });
    expect(plugin("ADD", { ...call, through, ifName: "a/b" }).json).toMatchObject({ code: 4 });
    silent(del({ ...call, through }));
  });

  test("a full stdout makes ADD fail, and DEL still cleans up", () => {
    const outcome = add({ ...call, through: ["sh", "-c", 'exec "$0" >/dev/full'] });
    expect(outcome.exitCode).toBe(1);
    silent(del(call));
  });
});

test("a configured log file changes nothing on stdout and stderr", () => {
  const logFile = join(host.stateDir, "slash32.log");
  const logged = { ...call, netconf: { ...call.netconf, logFile, logLevel: "debug" } };
  succeeded(add(logged));
  silent(del(logged));
  refused(add({ ...logged, ifName: "lo" }), 102);
});
