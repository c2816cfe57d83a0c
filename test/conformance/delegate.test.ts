// CNI specification, section 4: another IPAM plugin gives the addresses.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { usable } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { NOTHING, refused, remains, silent, succeeded } from "../helpers/outcome.ts";
import { patient } from "../helpers/patience.ts";
import {
  add,
  check,
  del,
  gc,
  netconf,
  type PluginCall,
  plugin,
  pluginAsync,
  status,
} from "../helpers/plugin.ts";

/** Where Debian has the reference plugins. */
const REFERENCE = "/usr/lib/cni";

type Call = {
  readonly verb: string;
  /** As the process found it, variable by variable. */
  readonly environment: readonly string[];
  readonly stdin: string;
  /** What its open files are, but for the standard three. */
  readonly files: readonly string[];
};

/** An IPAM plugin that answers what it was told to, and writes down how it was called. */
class Spy {
  /** Its directory, for CNI_PATH. */
  readonly path: string;
  readonly #calls: string;

  constructor(host: TestHost, name = "spy") {
    this.path = mkdtempSync(join(host.stateDir, "plugins-"));
    this.#calls = join(this.path, "calls");
    mkdirSync(this.#calls);
    writeFileSync(join(this.path, name), SPY);
    chmodSync(join(this.path, name), 0o755);
    this.answers("ADD", '{"ips":[{"address":"10.30.0.5/24"}]}');
  }

  /** What it prints for a verb, its exit status, and what it says on stderr. Without one: nothing, and success. */
  answers(verb: string, stdout: string, exitCode = 0, stderr = ""): void {
    writeFileSync(join(this.path, `${verb}.stdout`), stdout);
    writeFileSync(join(this.path, `${verb}.stderr`), stderr);
    writeFileSync(join(this.path, `${verb}.exit`), `${exitCode}`);
  }

  refuses(verb: string, error: object): void {
    this.answers(verb, JSON.stringify(error), 1);
  }

  get verbs(): string[] {
    return this.calls.map(({ verb }) => verb);
  }

  /** In the order they came. */
  get calls(): Call[] {
    return readdirSync(this.#calls)
      .toSorted()
      .map((name) => {
        const read = (part: string) => readFileSync(join(this.#calls, name, part), "utf8");
        const environment = read("environment").split("\0").filter(Boolean);
        return {
          verb: name.slice(4),
          environment,
          stdin: read("stdin"),
          files: beyondStandard(read("files")),
        };
      });
  }
}

const SPY = `#!/bin/sh
PATH=/usr/bin:/bin
here=$(dirname "$0")
call=$(printf '%s/calls/%03d-%s' "$here" "$(ls "$here/calls" | wc -l)" "$CNI_COMMAND")
mkdir "$call"
cat "/proc/$$/environ" >"$call/environment"
(ls -l "/proc/$$/fd" >"$call/files")
cat >"$call/stdin"
[ ! -e "$here/$CNI_COMMAND.stdout" ] || cat "$here/$CNI_COMMAND.stdout"
[ ! -e "$here/$CNI_COMMAND.stderr" ] || cat "$here/$CNI_COMMAND.stderr" >&2
[ ! -e "$here/$CNI_COMMAND.exit" ] || exit "$(cat "$here/$CNI_COMMAND.exit")"
`;

/** From `ls -l /proc/PID/fd`. */
function beyondStandard(listing: string): string[] {
  const links = [...listing.matchAll(/ (\d+) -> (.*)$/gm)].map(([, fd, file]) => ({
    fd: Number(fd),
    file: String(file),
  }));
  if (links.length < 3) throw new Error(`Cannot read a list of open files: ${listing}`);
  return links.filter(({ fd }) => fd > 2).map(({ file }) => file);
}

/** A call whose addresses the spy gives. */
function spied(host: TestHost, sandbox: TestNetns, spy: Spy, keys = {}): PluginCall {
  return { host, netns: sandbox, path: spy.path, netconf: netconf(host, { ipam: { type: "spy" }, ...keys }) };
}

function links(netns: TestNetns): string[] {
  return (netns.ip("link") as { ifname: string }[]).map(({ ifname }) => ifname);
}

function addresses(netns: TestNetns): string[] {
  const [{ addr_info }] = netns.ip("address", "show", "dev", "eth0") as [
    { addr_info: { local: string; prefixlen: number; scope: string }[] },
  ];
  const global = addr_info.filter(({ scope }) => scope === "global");
  return global.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

describe("host-local as Debian has it", () => {
  function hostLocal(host: TestHost, sandbox: TestNetns, keys = {}): PluginCall & { dataDir: string } {
    const dataDir = join(host.stateDir, "host-local");
    const ranges = usable(["10.30.0.0/24", "fd00:30::/64"]).map((subnet) => [{ subnet }]);
    const ipam = { type: "host-local", ranges, dataDir };
    const document = netconf(host, { cniVersion: "1.0.0", ipam, ...keys });
    return { host, netns: sandbox, path: REFERENCE, dataDir: join(dataDir, "podnet"), netconf: document };
  }

  function held(dataDir: string): string[] {
    return readdirSync(dataDir).filter((name) => /^(10\.|fd00)/.test(name));
  }

  test.each(["0.3.1", "0.4.0", "1.0.0"])(
    "gives addresses in %s, which the sandbox holds as /32 and /128",
    (cniVersion) => {
      using host = new TestHost();
      using sandbox = new TestNetns();
      const call = hostLocal(host, sandbox, { cniVersion });
      const result = succeeded(add(call));
      const own = usable(["10.30.0.2/32", "fd00:30::2/128"]);
      expect(result.ips).toMatchObject(own.map((address) => ({ address, interface: 1 })));
      expect(addresses(sandbox)).toEqual(own);
      for (const world of usable(["198.51.100.1", "2001:db8:ffff::1"]))
        expect(sandbox.ping(world)).toMatchObject({ received: 1 });
      if (cniVersion !== "0.3.1")
        silent(check({ ...call, netconf: { ...call.netconf, prevResult: result } }));
      silent(del(call));
      expect(held(call.dataDir)).toEqual([]);
      expect(remains(host)).toEqual(NOTHING);
    },
  );

  test("a repeated ADD has the same addresses, although host-local would refuse a second one", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = hostLocal(host, sandbox);
    const first = succeeded(add(call));
    expect(succeeded(add(call))).toEqual(first);
    expect(held(call.dataDir)).toHaveLength(usable(["10.30.0.2", "fd00:30::2"]).length);
  });

  test("an ADD that fails in the kernel holds no address", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = hostLocal(host, sandbox);
    refused(add({ ...call, ifName: "lo" }), 102);
    expect(held(call.dataDir)).toEqual([]);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("its own refusal is passed on, code and all, and the host is as before", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    using other = new TestNetns();
    const ipam = {
      type: "host-local",
      ranges: [[{ subnet: "10.30.0.0/30" }]],
      dataDir: join(host.stateDir, "host-local"),
    };
    const call = hostLocal(host, sandbox, { ipam });
    succeeded(add(call));
    const { msg } = refused(add({ ...call, netns: other, containerId: "other" }), 999);
    expect(msg).toContain("no IP addresses available");
    expect(remains(host)).toMatchObject({ links: { length: 1 }, attachments: ["container-1/eth0"] });
  });

  test("CHECK fails when host-local lost the lease", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = hostLocal(host, sandbox);
    const prevResult = succeeded(add(call));
    for (const name of held(call.dataDir)) writeFileSync(join(call.dataDir, name), "stranger\r\neth0");
    const { msg } = refused(check({ ...call, netconf: { ...call.netconf, prevResult } }), 999);
    expect(msg).toContain("Failed to find address");
  });

  test("DEL without a sandbox, and a second DEL, free and are success", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = hostLocal(host, sandbox);
    succeeded(add(call));
    sandbox[Symbol.dispose]();
    for (const netns of [sandbox.path, ""]) silent(del({ ...call, netns }));
    expect(held(call.dataDir)).toEqual([]);
  });
});

test("static as Debian has it: address narrowed, routes and dns applied, its gateway is not ours", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const ipam = {
    type: "static",
    addresses: [
      { address: "10.31.5.5/16", gateway: "10.31.0.1" },
      ...usable(["fd00:31::5/64"]).map((address) => ({ address })),
    ],
    routes: [{ dst: "0.0.0.0/0", gw: "10.31.0.1" }, { dst: "10.96.0.0/12" }],
    dns: { nameservers: ["10.96.0.10"], domain: "x" },
  };
  const call = {
    host,
    netns: sandbox,
    path: REFERENCE,
    netconf: netconf(host, { cniVersion: "1.0.0", ipam }),
  };
  const result = succeeded(add(call));
  const own = usable(["10.31.5.5/32", "fd00:31::5/128"]);
  expect(result.ips).toEqual(own.map((address) => ({ address, interface: 1 })));
  expect(result.routes).toEqual([
    { dst: "0.0.0.0/0", gw: "169.254.1.1" },
    ...usable(["::/0"]).map((dst) => ({ dst, gw: "fe80::ecee:eeff:feee:eeee" })),
    { dst: "10.96.0.0/12", gw: "169.254.1.1" },
  ]);
  expect(result.dns).toEqual({ nameservers: ["10.96.0.10"], domain: "x" });
  expect(sandbox.ip("route", "show", "10.96.0.0/12")).toMatchObject([{ gateway: "169.254.1.1" }]);
  expect(sandbox.ping("198.51.100.1")).toMatchObject({ received: 1 });
  silent(del(call));
  expect(remains(host)).toEqual(NOTHING);
});

test("static, told of /32 and /128, confirms them in CHECK", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const addresses = usable(["10.31.5.5/32", "fd00:31::5/128"]).map((address) => ({ address }));
  const ipam = { type: "static", addresses };
  const call = {
    host,
    netns: sandbox,
    path: REFERENCE,
    netconf: netconf(host, { cniVersion: "1.0.0", ipam }),
  };
  const prevResult = succeeded(add(call));
  silent(check({ ...call, netconf: { ...call.netconf, prevResult } }));
});

describe("how it is found", () => {
  test("in the first directory of CNI_PATH that has a file of its name", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const [spy, later] = [new Spy(host), new Spy(host)];
    const empty = mkdtempSync(join(host.stateDir, "empty-"));
    const directory = mkdtempSync(join(host.stateDir, "directory-"));
    mkdirSync(join(directory, "spy"));
    const path = ["", "/nowhere", empty, directory, spy.path, later.path, ""].join(":");
    succeeded(add({ ...spied(host, sandbox, spy), path }));
    expect([spy.verbs, later.verbs]).toEqual([["ADD"], []]);
  });

  test.each(["", "/nowhere"])("not at all in CNI_PATH %j: code 105, for DEL and STATUS too", (path) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const call = { ...spied(host, sandbox, new Spy(host)), path };
    for (const verb of ["ADD", "DEL"] as const)
      expect(refused(plugin(verb, call), 105).msg).toContain('"spy"');
    expect(refused(status(call), 50).msg).toContain('"spy"');
    expect(remains(host)).toMatchObject({ links: [] });
  });

  test.each(["../spy", "a/spy", "/bin/true", ".", ".."])(
    "never by the name %j, which would leave CNI_PATH",
    (type) => {
      using host = new TestHost();
      using sandbox = new TestNetns();
      const spy = new Spy(host);
      mkdirSync(join(spy.path, "a"));
      writeFileSync(join(spy.path, "a", "spy"), "#!/bin/sh\ntouch /run/executed\n", { mode: 0o755 });
      const call = spied(host, sandbox, spy, { ipam: { type } });
      for (const verb of ["ADD", "DEL"] as const) refused(plugin(verb, call), 105);
      expect(existsSync("/run/executed")).toBe(false);
      expect(spy.verbs).toEqual([]);
    },
  );

  test("a file that cannot be executed is code 105", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    chmodSync(join(spy.path, "spy"), 0o644);
    refused(add(spied(host, sandbox, spy)), 105);
    expect(remains(host)).toEqual(NOTHING);
  });
});

describe("what it gets", () => {
  test("is the same environment and the same bytes, but for CNI_COMMAND", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const keys = {
      "cni.dev/valid-attachments": [],
      runtimeConfig: { portMappings: [] },
      comment: "ä\u2028😀",
    };
    const stdin = ` \n${JSON.stringify(netconf(host, { ipam: { type: "spy", z: 1, a: [1.0, 2e3] }, ...keys }), null, 3)}\n\n`;
    const extra = { TRACEPARENT: "00-1", EMPTY: "", "ODD NAME": "a=b\nc" };
    const call = { ...spied(host, sandbox, spy), args: "K8S_POD_NAME=x;;IgnoreUnknown=1", stdin, env: extra };
    succeeded(add(call));
    const prevResult = { cniVersion: "1.1.0", interfaces: [] };
    const withPrevious = stdin.replace("{", `{"prevResult":${JSON.stringify(prevResult)},`);
    plugin("STATUS", call);
    plugin("GC", { ...call, stdin });
    silent(del({ ...call, stdin: withPrevious }));

    const seen = spy.calls;
    expect(seen.map(({ verb }) => verb)).toEqual(["ADD", "STATUS", "DEL", "GC", "DEL"]);
    expect(seen.map(({ stdin }) => stdin)).toEqual([stdin, stdin, stdin, stdin, withPrevious]);
    const [{ environment }] = seen as [Call];
    expect(environment).toEqual(
      expect.arrayContaining([
        "CNI_CONTAINERID=container-1",
        `CNI_NETNS=${sandbox.path}`,
        "CNI_IFNAME=eth0",
        `CNI_PATH=${spy.path}`,
        `CNI_ARGS=${call.args}`,
        "TRACEPARENT=00-1",
        "EMPTY=",
        "ODD NAME=a=b\nc",
      ]),
    );
    const rest = (call: Call | undefined) =>
      call?.environment.filter((entry) => !entry.startsWith("CNI_COMMAND=")).toSorted();
    expect(rest(seen[4])).toEqual(rest(seen[0]));
  });

  test("are none of our open files but the locks, and these only for ADD and DEL: no namespace, no database", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    const prevResult = succeeded(add(call));
    silent(check({ ...call, netconf: { ...call.netconf, prevResult } }));
    silent(del(call));
    // The shell has its own script open.
    const files = spy.calls.map(({ verb, files }) => [
      verb,
      ...files.filter((file) => file !== join(spy.path, "spy")),
    ]);
    const lock = join(host.stateDir, "podnet/lock");
    expect(files).toEqual([["ADD", lock], ["CHECK"], ["DEL", lock]]);
  });

  test("is its own way out: what it says on stderr is ours, however long, and stdout stays clean", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const words = "a word of the plugin\n".repeat(10_000);
    spy.answers("ADD", '{"ips":[{"address":"10.30.0.5/24"}]}', 0, words);
    spy.answers("DEL", "", 0, words);
    const call = spied(host, sandbox, spy);
    const added = add(call);
    expect(added.stderr).toBe(words);
    expect(added.json).toMatchObject({ ips: [{ address: "10.30.0.5/32" }] });
    expect(del(call)).toEqual({ exitCode: 0, stdout: "", stderr: words, json: undefined });
  });

  test.each([
    ["closed", 'exec "$0" 2>&-'],
    ["broken", '{ { sleep 0.3; "$0" 2>&3; } 3>&1 >&4 | true; } 4>&1'],
    ["full", 'exec "$0" 2>/dev/full'],
  ])("may be said into a %s stderr", (_, script) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    spy.answers("ADD", '{"ips":[{"address":"10.30.0.5/24"}]}', 0, "a word\n".repeat(20_000));
    const call = spied(host, sandbox, spy);
    const added = add({ ...call, through: ["sh", "-c", script] });
    expect(added.json).toMatchObject({ ips: [{ address: "10.30.0.5/32" }] });
    silent(del(call));
  });
});

test("what it leaves running pins neither ADD nor its caller, who waits for all who hold its pipes", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const spy = new Spy(host);
  const daemon = join(host.stateDir, "daemon");
  writeFileSync(
    join(spy.path, "daemonic"),
    `#!/bin/sh\nsleep ${patient(25_000) / 1000} &\necho $! >>${daemon}\necho '{"ips":[{"address":"10.30.0.5/24"}]}'\n`,
    { mode: 0o755 },
  );
  const call = spied(host, sandbox, spy, { ipam: { type: "daemonic" } });
  const started = performance.now();
  succeeded(add(call));
  silent(del(call));
  expect(performance.now() - started).toBeLessThan(patient(10_000));
  for (const pid of readFileSync(daemon, "utf8").trim().split("\n")) process.kill(Number(pid));
});

describe("what it may answer", () => {
  test.each<[string, string, object]>([
    ["no cniVersion, no interface", "1.1.0", { ips: [{ address: "10.30.0.5/24" }] }],
    ["an empty cniVersion", "1.1.0", { cniVersion: "", ips: [{ address: "10.30.0.5/24" }] }],
    ["an older version", "1.1.0", { cniVersion: "0.4.0", ips: [{ version: "4", address: "10.30.0.5/24" }] }],
    ["a newer version", "0.4.0", { cniVersion: "1.1.0", ips: [{ address: "10.30.0.5/24" }] }],
    [
      "an interface of its own",
      "1.0.0",
      { interfaces: [{ name: "x" }], ips: [{ address: "10.30.0.5/24", interface: 0 }] },
    ],
    ["ip4 under 0.2.0", "0.2.0", { cniVersion: "0.2.0", ip4: { ip: "10.30.0.5/24", gateway: "10.30.0.1" } }],
    ["ip4 without a version under 0.1.0", "0.1.0", { ip4: { ip: "10.30.0.5/24" } }],
    [
      "null where lists are",
      "1.1.0",
      { ips: [{ address: "10.30.0.5/24" }], routes: null, interfaces: null, dns: null },
    ],
    ["spaces around it", "1.1.0", { ips: [{ address: "10.30.0.5/24" }] }],
  ])("%s, in %s", (title, cniVersion, answer) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const text = JSON.stringify(answer);
    spy.answers("ADD", title.startsWith("spaces") ? `\n\n ${text} \n\n` : text);
    const result = succeeded(add(spied(host, sandbox, spy, { cniVersion })));
    expect(result.cniVersion).toBe(cniVersion);
    expect(result.ip4?.ip ?? result.ips?.[0]?.address).toBe("10.30.0.5/32");
    expect(addresses(sandbox)).toEqual(["10.30.0.5/32"]);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "garbage"],
    ["null", "null"],
    ["a list", "[]"],
    ["no addresses", "{}"],
    ["an empty list of addresses", '{"ips":[]}'],
    ["an address that is none", '{"ips":[{"address":"10.30.0.300/24"}]}'],
    ["an address without its length", '{"ips":[{"address":"10.30.0.5"}]}'],
    ["addresses that are text", '{"ips":["10.30.0.5/24"]}'],
    ["an unknown version", '{"cniVersion":"9.9.9","ips":[{"address":"10.30.0.5/24"}]}'],
    ["a route that is none", '{"ips":[{"address":"10.30.0.5/24"}],"routes":[{"dst":"default"}]}'],
    ["two documents", '{"ips":[{"address":"10.30.0.5/24"}]}{}'],
    ["a megabyte of text", `"${"x".repeat(1_000_000)}"`],
  ])("is not %s: code 105, and it is told to DEL", (_, answer) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    spy.answers("ADD", answer);
    refused(add(spied(host, sandbox, spy)), 105);
    expect(spy.verbs).toEqual(["ADD", "DEL"]);
    expect(remains(host)).toEqual(NOTHING);
    expect(links(sandbox)).toEqual(["lo"]);
  });
});

describe("when it fails", () => {
  const error = {
    cniVersion: "1.1.0",
    code: 11,
    msg: "come back later",
    details: "the pool is being filled",
  };

  test.each(["ADD", "DEL", "CHECK", "STATUS"] as const)(
    "its code, message and details for %s are ours",
    (verb) => {
      using host = new TestHost();
      using sandbox = new TestNetns();
      const spy = new Spy(host);
      const call = spied(host, sandbox, spy);
      const prevResult = verb === "ADD" ? undefined : succeeded(add(call));
      spy.refuses(verb, error);
      const outcome = plugin(verb, { ...call, netconf: { ...call.netconf, prevResult } });
      expect(refused(outcome, 11)).toEqual(error);
    },
  );

  test("its STATUS codes 50 and 51 are ours", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    for (const code of [50, 51]) {
      spy.refuses("STATUS", { code, msg: "no" });
      expect(refused(status(spied(host, sandbox, spy)), code).msg).toBe("no");
    }
  });

  test.each([
    ["says nothing", "", 1],
    ["says garbage", "panic: oh no", 2],
    ["prints an object that is no error", '{"ips":[]}', 1],
    ["prints an error whose code is text", '{"code":"7","msg":"x"}', 1],
    ["prints null", "null", 1],
  ])("and %s, that is code 105, with how it ended", (_, stdout, exitCode) => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    spy.answers("ADD", stdout, exitCode);
    expect(refused(add(spied(host, sandbox, spy)), 105).msg).toContain(`exited with ${exitCode}`);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("in ADD, it is told to DEL, by CNI_COMMAND=DEL and the same words", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    spy.refuses("ADD", error);
    refused(add(spied(host, sandbox, spy)), 11);
    const [added, deleted] = spy.calls as [Call, Call];
    expect(spy.verbs).toEqual(["ADD", "DEL"]);
    expect(deleted.stdin).toBe(added.stdin);
    const inAdd = added.environment.map((entry) => entry.replace("CNI_COMMAND=ADD", "CNI_COMMAND=DEL"));
    expect(deleted.environment.toSorted()).toEqual(inAdd.toSorted());
    expect(remains(host)).toEqual(NOTHING);
  });

  test("in DEL, the host end is gone all the same, and a later DEL finishes", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    succeeded(add(call));
    spy.refuses("DEL", error);
    refused(del(call), 11);
    expect(remains(host)).toMatchObject({ links: [], routes: [], neighbours: [] });
    spy.answers("DEL", "");
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });
});

describe("an ADD that fails after it", () => {
  test("tells it to DEL", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    refused(add({ ...spied(host, sandbox, spy), ifName: "lo" }), 102);
    expect(spy.verbs).toEqual(["ADD", "DEL"]);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("reports its own failure, even if that DEL fails too", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    spy.refuses("DEL", { code: 11, msg: "no" });
    refused(add({ ...spied(host, sandbox, spy), ifName: "lo" }), 102);
    expect(links(sandbox)).toEqual(["lo"]);
    spy.answers("DEL", "");
    silent(del({ ...spied(host, sandbox, spy), ifName: "lo" }));
    expect(remains(host)).toEqual(NOTHING);
  });
});

test("killed while the plugin is at work, it leaves the attachment locked until that has ended: DEL takes all back", async () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const path = mkdtempSync(join(host.stateDir, "plugins-"));
  const [begun, given] = [join(path, "begun"), join(path, "given")];
  const seconds = patient(1000) / 1000;
  writeFileSync(
    join(path, "slow"),
    `#!/bin/sh
case $CNI_COMMAND in
  ADD) touch ${begun}; sleep ${seconds}; touch ${given}; echo '{"ips":[{"address":"10.30.0.5/24"}]}' ;;
  DEL) rm -f ${given} ;;
esac
`,
    { mode: 0o755 },
  );
  const call = {
    host,
    netns: sandbox,
    netconf: netconf(host, { ipam: { type: "slow" } }),
    env: { CNI_PATH: path },
  };
  const added = pluginAsync("ADD", {
    ...call,
    through: ["sh", "-c", 'echo $$ >"$1"; shift; exec "$@"', "sh", join(path, "pid")],
  });
  while (!existsSync(begun)) await Bun.sleep(5);
  process.kill(Number(readFileSync(join(path, "pid"), "utf8")), "SIGKILL");
  await added;
  const started = performance.now();
  silent(del(call));
  expect(performance.now() - started).toBeGreaterThan(seconds * 500);
  expect(existsSync(given)).toBe(false);
  expect(remains(host)).toEqual(NOTHING);
});

describe("a repeated ADD", () => {
  test("does not ask it again, and answers the same", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    const first = succeeded(add(call));
    spy.refuses("ADD", { code: 999, msg: "duplicate allocation is not allowed" });
    expect(succeeded(add(call))).toEqual(first);
    expect(spy.verbs).toEqual(["ADD"]);
  });

  test("that fails does not make it release what the first one has", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    using taken = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    succeeded(add(call));
    taken.ipBatch("link add x0 type veth peer name x1", "link add eth0 type veth peer name x2");
    refused(add({ ...call, netns: taken }), 102);
    refused(add({ ...call, netns: "/nowhere" }), 8);
    expect(spy.verbs).toEqual(["ADD"]);
    expect(host.ping("10.30.0.5")).toMatchObject({ received: 1 });
  });

  test("of a pod that only the kernel knows of, its store being lost, does not ask it, and answers the same address", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    succeeded(add(call));
    rmSync(join(host.stateDir, "podnet"), { recursive: true });
    spy.answers("ADD", '{"ips":[{"address":"10.30.0.6/24"}]}');
    expect(succeeded(add(call)).ips?.[0]?.address).toBe("10.30.0.5/32");
    expect(spy.verbs).toEqual(["ADD"]);
    expect(host.ping("10.30.0.5")).toMatchObject({ received: 1 });
    silent(del(call));
    expect(remains(host)).toEqual(NOTHING);
  });

  test("after DEL asks it anew", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const spy = new Spy(host);
    const call = spied(host, sandbox, spy);
    succeeded(add(call));
    silent(del(call));
    spy.answers("ADD", '{"ips":[{"address":"10.30.0.6/24"}]}');
    expect(succeeded(add(call)).ips?.[0]?.address).toBe("10.30.0.6/32");
    expect(spy.verbs).toEqual(["ADD", "DEL", "ADD"]);
  });
});

describe("GC", () => {
  const EMPTY = { "cni.dev/valid-attachments": [] };
  const VALID = { "cni.dev/valid-attachments": [{ containerID: "b", ifname: "eth0" }] };

  function two(host: TestHost, sandboxes: readonly TestNetns[], spy: Spy): void {
    for (const [at, containerId] of ["a", "b"].entries()) {
      spy.answers("ADD", `{"ips":[{"address":"10.30.0.${5 + at}/24"}]}`);
      succeeded(add({ ...spied(host, sandboxes[at] as TestNetns, spy), containerId }));
    }
  }

  test("sends it a DEL for each stale attachment, by its container and interface, then GC", () => {
    using host = new TestHost();
    using first = new TestNetns();
    using second = new TestNetns();
    const spy = new Spy(host);
    two(host, [first, second], spy);
    const before = spy.calls.length;
    const document = netconf(host, { ipam: { type: "spy" }, ...VALID });
    silent(gc({ host, path: spy.path, netconf: document }));
    const calls = spy.calls.slice(before);
    expect(calls.map(({ verb }) => verb)).toEqual(["DEL", "GC"]);
    expect(calls[0]?.environment).toEqual(
      expect.arrayContaining(["CNI_CONTAINERID=a", "CNI_IFNAME=eth0", "CNI_NETNS="]),
    );
    expect(calls[1]?.stdin).toBe(JSON.stringify(document));
    expect(remains(host)).toMatchObject({ links: { length: 1 }, attachments: ["b/eth0"] });
  });

  test("goes on when it fails, collects what is ours, and reports its error", () => {
    using host = new TestHost();
    using first = new TestNetns();
    using second = new TestNetns();
    const spy = new Spy(host);
    two(host, [first, second], spy);
    spy.refuses("GC", { code: 4, msg: "unknown CNI_COMMAND: GC" });
    const call = { host, path: spy.path, netconf: netconf(host, { ipam: { type: "spy" }, ...EMPTY }) };
    expect(refused(gc(call), 4).msg).toContain("unknown CNI_COMMAND: GC");
    expect(remains(host)).toEqual(NOTHING);
  });

  test("frees the leases of Debian's host-local, which knows no GC", () => {
    using host = new TestHost();
    using sandbox = new TestNetns();
    const dataDir = join(host.stateDir, "host-local");
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.30.0.0/24" }]], dataDir };
    const call = {
      host,
      netns: sandbox,
      path: REFERENCE,
      netconf: netconf(host, { cniVersion: "1.0.0", ipam }),
    };
    succeeded(add(call));
    // This host-local speaks 1.0.0 at most, in which there is no GC: its DEL, sent in 1.1.0, fails, and is reported.
    refused(gc({ ...call, netconf: netconf(host, { ipam, ...EMPTY }) }), 1);
    expect(remains(host)).toMatchObject({ links: [] });
    silent(del(call));
    expect(readdirSync(join(dataDir, "podnet")).filter((name) => name.startsWith("10."))).toEqual([]);
  });
});

test("a network changed from it to our own leases: DEL takes the old attachment away", () => {
  using host = new TestHost();
  using sandbox = new TestNetns();
  const spy = new Spy(host);
  succeeded(add(spied(host, sandbox, spy)));
  silent(del({ host, netns: sandbox, path: spy.path, netconf: netconf(host) }));
  expect(remains(host)).toEqual(NOTHING);
});
