// slash32 uninstall: what goes, what does not, and how one knows.
import { existsSync } from "node:fs";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { meanwhile } from "../chaos/pause.ts";
import { execute } from "../chaos/stage.ts";
import { CONFLIST, InstallNode, POD_CIDR } from "../helpers/installed.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

const NOTHING_LEFT =
  "There is nothing else of slash32 on this node: looked in /opt/cni/bin, /etc/cni/net.d and /run/slash32.";

/** With both families, a log, and so many pods. */
function nodeWith({ pods = 0 }: { pods?: number } = {}): InstallNode {
  const node = new InstallNode();
  node.write("/var/log/other.log", "");
  const ranges = ["--pod-cidr", POD_CIDR, "--pod-cidr", "fd00:20:1::/64"];
  expect(node.install([...ranges, "--log-file", "/var/log/slash32.log"])).toMatchObject({
    exitCode: 0,
  });
  const runtime = node.runtime();
  for (let count = 0; count < pods; count++) node.pod(`web-${count}`, runtime);
  return node;
}

/** With a list of its own, whose pods have their addresses from the reference plugin. */
function nodeWithHostLocal(): InstallNode {
  const node = new InstallNode();
  node.plugins("host-local");
  const dataDir = node.at("/var/lib/host-local");
  const ipam = { type: "host-local", ranges: [[{ subnet: POD_CIDR }]], dataDir };
  const own = { cniVersion: "1.0.0", name: "podnet", plugins: [{ type: "slash32", ipam }] };
  node.write("/own.json", JSON.stringify(own));
  expect(node.install(["--conflist", node.at("/own.json")])).toMatchObject({ exitCode: 0 });
  return node;
}

function kernelOf({ host }: InstallNode) {
  const { links, routes, neighbours } = remains(host);
  return { links, routes, neighbours };
}

const EMPTY = { links: NOTHING.links, routes: NOTHING.routes, neighbours: NOTHING.neighbours };
const OTHERS = ["/var/log/other.log 644 0"];

describe("a node without pods", () => {
  test("has nothing of slash32 any more, but what is others', and a second time there is nothing to do", () => {
    using node = nodeWith();
    node.write("/etc/cni/net.d/20-other.conflist", "{}");
    node.plugins("loopback");
    const others = node.files().filter((line) => /other|loopback/.test(line));
    const first = node.uninstall();
    expect(first).toMatchObject({ exitCode: 0, stderr: "" });
    expect(first.stdout.split("\n")).toEqual([
      expect.stringMatching(/^✓ list {8}\/etc\/cni\/net\.d\/10-slash32\.conflist +removed$/),
      expect.stringMatching(/^✓ node file {3}\/run\/slash32\/node\.json +removed$/),
      expect.stringMatching(/^✓ executable {2}\/opt\/cni\/bin\/slash32 +removed$/),
      NOTHING_LEFT,
    ]);
    expect(node.files()).toEqual(others);
    expect(execaSync("ls", [node.at("/run")]).stdout).toBe("");
    expect(node.uninstall()).toMatchObject({ exitCode: 0, stdout: NOTHING_LEFT });
  });

  test("that had some is left without their leases and their log", () => {
    using node = nodeWith({ pods: 1 });
    node.runtime().del({ containerId: "web-0" });
    expect(node.uninstall().stdout).toMatch(/✓ leases {6}\/run\/slash32\/podnet[\s\S]*✓ log /);
    expect(node.files()).toEqual(OTHERS);
  });
});

describe("a node with pods", () => {
  test("is left alone", () => {
    using node = nodeWith({ pods: 4 });
    const before = { files: node.files(), kernel: kernelOf(node) };
    expect(node.uninstall()).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        "slash32 uninstall: Cannot uninstall: 4 pods are attached (default/web-0, default/web-1, default/web-2, …); " +
        "drain the node, delete DaemonSets whose pods survive that or keep them off this node, " +
        "or cut them off with --force",
    });
    expect({ files: node.files(), kernel: kernelOf(node) }).toEqual(before);
  });

  test("that came when it was at work already is left alone, too: the list is back, and the pod well", async () => {
    using node = nodeWith();
    const runtime = node.runtime();
    const uninstall = (through: readonly string[]) => {
      const command = [EXECUTABLE, "uninstall", "--root", node.root];
      return execute(["nsenter", `--net=${node.host.path}`, "--", ...through, ...command]);
    };
    // The first that it does is to take the list away.
    const { outcome, result: pod } = await meanwhile(uninstall, { name: "rename", nth: 1 }, async () => {
      expect(existsSync(node.at(CONFLIST))).toBe(false);
      return node.pod("web-0", runtime);
    });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: "" });
    expect(outcome.stderr).toContain("1 pod is attached (default/web-0)");
    expect(node.uninstall().stderr).toContain("1 pod is attached (default/web-0)");
    expect(pod.ping("198.51.100.1").received).toBe(1);
    node.runtime().del({ containerId: "web-0" });
    expect(node.uninstall()).toMatchObject({ exitCode: 0 });
  });

  test("would refuse, says --plan, and would lose them by --force; it changes nothing", () => {
    using node = nodeWith({ pods: 1 });
    const before = node.files();
    const refused = node.uninstall("--plan");
    expect(refused.stdout).toMatch(
      /^! uninstall +would refuse +1 pod is attached \(default\/web-0\); drain /m,
    );
    const forced = node.uninstall("--plan", "--force");
    expect(forced.stdout).toMatch(/^\+ pod {9}default\/web-0 +would be removed$/m);
    expect(forced.stdout).not.toContain("!");
    expect([refused.exitCode, forced.exitCode]).toEqual([1, 0]);
    expect({ files: node.files(), links: kernelOf(node).links }).toEqual({
      files: before,
      links: [expect.any(String)],
    });
  });

  test("and a list by hand is told of the pods first: without the list nobody could end them", () => {
    using node = nodeWith({ pods: 1 });
    const list = JSON.parse(node.read(CONFLIST));
    delete list.plugins[0].writtenBy;
    node.write(CONFLIST, JSON.stringify(list));
    expect(node.uninstall().stderr).toMatch(/^slash32 uninstall: Cannot uninstall: 1 pod is attached/);
    node.runtime().del({ containerId: "web-0" });
    expect(node.uninstall().stderr).toMatch(
      /10-slash32\.conflist names slash32; slash32 install did not write/,
    );
  });

  test("loses them by --force: links, routes of both families, leases and all", () => {
    using node = nodeWith({ pods: 3 });
    const report = JSON.parse(node.uninstall("--force", "--json").stdout);
    expect(report.remains).toEqual([]);
    expect(report.lines.filter(({ what }: { what: string }) => what === "pod")).toHaveLength(3);
    expect({ files: node.files(), kernel: kernelOf(node) }).toEqual({ files: OTHERS, kernel: EMPTY });
  });

  test("whose store is lost loses them, too: by the alias of their links", () => {
    using node = nodeWith({ pods: 2 });
    execaSync("rm", ["-r", node.at("/run/slash32/podnet")]);
    expect(node.uninstall().stderr).toMatch(/2 pods are attached \(cali\w+, cali\w+\)/);
    expect(node.uninstall("--force")).toMatchObject({ exitCode: 0 });
    expect({ files: node.files(), kernel: kernelOf(node) }).toEqual({ files: OTHERS, kernel: EMPTY });
  });

  test("loses a route that a lease tells of, wherever it leads by now", () => {
    using node = nodeWith({ pods: 1 });
    node.host.ipBatch("route replace 10.20.1.2/32 dev uplink0 proto 32");
    expect(node.uninstall("--force")).toMatchObject({ exitCode: 0 });
    expect(kernelOf(node)).toEqual(EMPTY);
  });

  test("of another IPAM plugin gives their addresses back", () => {
    using node = nodeWithHostLocal();
    node.pod("web-0");
    const leases = () => node.files().filter((line) => line.includes("/10.20.1."));
    expect(leases()).toHaveLength(1);
    expect(node.uninstall("--force")).toMatchObject({ exitCode: 0 });
    expect(leases()).toEqual([]);
  });

  test("of another IPAM plugin that is gone are gone, too, and what it still holds is told", () => {
    using node = nodeWithHostLocal();
    node.pod("web-0");
    node.pod("web-1");
    execaSync("rm", [node.at("/opt/cni/bin/host-local")]);
    const { stdout, exitCode } = node.uninstall("--force");
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^! pod {9}default\/web-0 +Cannot .*"host-local"/m);
    expect(stdout).toMatch(/^! pod {9}default\/web-1 +Cannot .*"host-local"/m);
    expect(stdout).toContain(NOTHING_LEFT);
    expect(kernelOf(node)).toEqual(EMPTY);
    expect(node.uninstall()).toMatchObject({ exitCode: 0, stdout: NOTHING_LEFT });
  });
});

test("--plan tells of a log in the state directory once, and that nothing will remain", () => {
  using node = new InstallNode();
  const args = ["--pod-cidr", POD_CIDR, "--log-file", "/run/slash32/slash32.log"];
  expect(node.install(args)).toMatchObject({ exitCode: 0 });
  node.pod("web-0");
  node.runtime().del({ containerId: "web-0" });
  const { stdout, exitCode } = node.uninstall("--plan");
  expect(stdout.match(/slash32\.log/g)).toHaveLength(1);
  expect(exitCode).toBe(0);
  expect(node.uninstall()).toMatchObject({ exitCode: 0 });
  expect(node.files()).toEqual([]);
});

describe("what is not ours by its mark", () => {
  test("stays, and is told with what to type: a route of our number through another's interface", () => {
    using node = nodeWith();
    node.host.ipBatch("route add 10.20.1.77/32 dev uplink0 proto 32");
    const { stdout, exitCode } = node.uninstall();
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(
      /^! route .* remains: uplink0 is not ours: ip route delete 10\.20\.1\.77\/32 dev uplink0 proto 32$/m,
    );
    expect(kernelOf(node).routes).toEqual(["10.20.1.77"]);
  });

  test("stays, and is told: a file of others in the state directory", () => {
    using node = nodeWith();
    node.write("/run/slash32/notes", "mine");
    const { stdout, exitCode } = node.uninstall();
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^! other file {2}\/run\/slash32\/notes +remains: /m);
    expect(node.read("/run/slash32/notes")).toBe("mine");
  });

  test("stops it before it begins: a list by hand that needs the executable", () => {
    using node = nodeWith();
    const list = { cniVersion: "1.0.0", name: "by-hand", plugins: [{ type: "slash32" }] };
    node.write("/etc/cni/net.d/50-by-hand.conflist", JSON.stringify(list));
    const before = node.files();
    expect(node.uninstall("--force")).toMatchObject({
      exitCode: 1,
      stderr:
        "slash32 uninstall: Cannot uninstall: /etc/cni/net.d/50-by-hand.conflist names slash32; " +
        "slash32 install did not write it: rm /etc/cni/net.d/50-by-hand.conflist",
    });
    expect(node.files()).toEqual(before);
  });
});

test("an installation of other names and places is found by its list, and the places that are told", () => {
  using node = new InstallNode();
  const places = ["--cni-bin-dir", "/srv/bin", "--cni-conf-dir", "/srv/conf"];
  const other = [...places, "--state-dir", "/run/other", "--conf-name", "99-x.conflist", "--network", "x"];
  expect(node.install(["--pod-cidr", POD_CIDR, ...other])).toMatchObject({ exitCode: 0 });
  expect(node.files()).toHaveLength(3);
  expect(node.uninstall(...places)).toMatchObject({ exitCode: 0 });
  expect(node.files()).toEqual([]);
});

describe("a node whose list is not where it is looked for", () => {
  test("keeps its state, and is asked for: a list elsewhere would have nothing to work with", () => {
    using node = new InstallNode();
    const places = ["--cni-bin-dir", "/srv/bin", "--cni-conf-dir", "/srv/conf"];
    expect(node.install(["--pod-cidr", POD_CIDR, ...places])).toMatchObject({ exitCode: 0 });
    const before = node.files();
    const reason =
      "/run/slash32/node.json is there, and no list of slash32 install in /etc/cni/net.d; " +
      "say with --cni-conf-dir and --cni-bin-dir where this node's runtime looks, also if it is there";
    expect(node.uninstall()).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `slash32 uninstall: Cannot uninstall: ${reason}`,
    });
    const { stdout, exitCode } = node.uninstall("--plan");
    expect({ exitCode, words: stdout.includes(reason) }).toEqual({ exitCode: 1, words: true });
    expect(node.files()).toEqual(before);
    expect(node.uninstall(...places)).toMatchObject({ exitCode: 0 });
    expect(node.files()).toEqual([]);
  });

  test("is left all the same where it is said to be there, or by --force", () => {
    for (const word of [["--cni-conf-dir", "/etc/cni/net.d"], ["--force"]]) {
      using node = nodeWith();
      execaSync("rm", [node.at(CONFLIST)]);
      expect(node.uninstall()).toMatchObject({ exitCode: 1 });
      expect(node.uninstall(...word)).toMatchObject({ exitCode: 0 });
      expect(node.files()).toEqual(OTHERS);
    }
  });

  test.each(["slash32-old", "slash32-new"])(
    "is left where somebody was killed and left a .%s of it",
    (ending) => {
      using node = nodeWith();
      execaSync("mv", [node.at(CONFLIST), node.at(`/etc/cni/net.d/.10-slash32.conflist.${ending}`)]);
      expect(node.uninstall()).toMatchObject({ exitCode: 0, stderr: "" });
      expect(node.files()).toEqual(OTHERS);
    },
  );
});

test("it may be the installed executable itself that is removed", () => {
  using node = nodeWith();
  const { exitCode } = node.host.exec(node.at("/opt/cni/bin/slash32"), "uninstall", "--root", node.root);
  expect({ exitCode, files: node.files() }).toEqual({ exitCode: 0, files: OTHERS });
});

test.each([
  [["please"], /uninstall takes no "please"/],
  [["--all"], /--all/],
])("%j is not understood: exit status 2", (args, words) => {
  using node = nodeWith();
  const { stdout, stderr, exitCode } = node.uninstall(...args);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 2 });
  expect(stderr).toMatch(words);
  expect(node.read(CONFLIST)).toContain("podnet");
});
