// The README is a promise: its commands run, what it shows was printed, and its tables leave nothing out.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { withFaultTable } from "../scripts/fault-table.ts";
import { Code } from "../src/cni/error.ts";

const ROOT = join(import.meta.dirname, "..");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** The text of the fenced blocks that have exactly this after their fence. */
function blocks(fence: string): string[] {
  const pattern = /^```(.*)\n([\s\S]*?)^```$/gm;
  return Array.from(README.matchAll(pattern)).flatMap(([, found, text = ""]) =>
    found === fence ? [text] : [],
  );
}

/** Runs a script in a lab of its own, from the project's directory. */
function inLab(script: string): string {
  return execaSync("bash", ["scripts/lab.sh", "bash", "-euo", "pipefail", "-c", script], { cwd: ROOT })
    .stdout;
}

/**
 * A machine as the README takes it to be: a host with a default route. What is installed into /opt and /etc goes with
 * the lab, as all of /run does.
 */
const MACHINE = `
cp --archive /etc /run/etc && mount --bind /run/etc /etc
mount -t tmpfs tmpfs /opt
ip link add uplink0 type veth peer name router0
ip address add 192.0.2.1/24 dev uplink0
ip link set uplink0 up
ip link set router0 up
ip route add default via 192.0.2.254
# An address of IPv6 would be the kernel's own idea.
sysctl -qw net.ipv6.conf.default.disable_ipv6=1 || true
`;

/** What a pod and its host hold, without the names and addresses that tell one pod from another. */
const PICTURE = `
picture() { # NAMESPACE HOST_END ADDRESS MAC
  {
    ip -n "$1" -o -4 address show dev eth0 | cut -d ' ' -f 2-8
    ip -n "$1" route
    ip route show proto 32 dev "$2"
    ip neighbour show dev "$2"
    ip -json link show dev "$2" | jq -c '.[0] | [.address, .mtu, .operstate]'
    for key in conf/$2/proxy_arp neigh/$2/proxy_delay conf/$2/forwarding conf/$2/route_localnet ip_forward; do
      cat "/proc/sys/net/ipv4/$key"
    done
  } | sed "s#$2#HOST_END#g; s#$3#ADDRESS#g; s#$4#MAC#g"
}
`;

describe("commands", () => {
  // Not in the lab: "sh no-test" sets up a machine, and starts the tests, of which this is one, or the demo, which
  // test/demo.test.ts runs.
  test("all run, in the order in which they stand", () => {
    const commands = blocks("sh").map((block) => `echo "@@"\n${block}`);
    const [before, installed, added, checked, byHand] = inLab(MACHINE + commands.join("\n")).split("@@\n");

    expect(commands).toHaveLength(4);
    expect(before).toBe("");
    expect(installed).toBe("");
    expect(added).toMatch(/^\{"cniVersion":"1.0.0",.*"address":"10.20.1.2\/32"/);
    expect(added).toMatch(
      /1 received[\s\S]*^10.20.1.2 dev cali\w{11} scope link *$[\s\S]*^default via 169.254.1.1 dev eth0 *$/m,
    );
    expect(checked).toBe("");
    expect(byHand).toMatch(/1 received/);
  });

  test("the walk-through and ADD leave the same behind", () => {
    const [install, add, , walkThrough] = blocks("sh");
    const compare = `
result=/run/web.result
end=$(jq -r .interfaces[0].name $result) mac=$(jq -r .interfaces[1].mac $result)
echo "@@"
picture web "$end" 10.20.1.2 "$mac"
echo "@@"
picture $POD $HOST_END $ADDRESS $MAC
`;
    const [, plugin, hand] = inLab([MACHINE, install, add, walkThrough, PICTURE, compare].join("\n")).split(
      "@@\n",
    );
    expect(plugin?.trim().split("\n").length).toBeGreaterThan(10);
    expect(hand?.trim()).toBe(plugin?.trim());
  });
});

/** Pods default/web-0 and default/web-1, and what a node has besides. */
const PODS = `
install /usr/lib/cni/loopback /usr/lib/cni/portmap /opt/cni/bin
PATH=/opt/cni/bin:$PATH
for name in web-0 web-1; do
  ip netns add $name
  jq '{cniVersion, name} + .plugins[0]' /etc/cni/net.d/10-slash32.conflist |
    CNI_COMMAND=ADD CNI_CONTAINERID=$name CNI_NETNS=/run/netns/$name CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \\
      CNI_ARGS="K8S_POD_NAMESPACE=default;K8S_POD_NAME=$name" slash32 >/run/result
done
`;

test("the image is made where it says", () => {
  const [command = "", ...more] = blocks("sh image");
  const [, path = ""] = /`(dist\/[\w.-]+\.tar)`/.exec(README) ?? [];
  rmSync(join(ROOT, path), { force: true });
  execaSync("bash", ["-euc", command], { cwd: ROOT });
  expect(existsSync(join(ROOT, path))).toBe(true);
  expect(more).toEqual([]);
});

describe("with a runtime", () => {
  test("its commands run: a list that can be used, and a log of what was done with it", () => {
    const [install = ""] = blocks("sh");
    const [list = "", log = "", ...more] = blocks("sh runtime");
    const away = "mount -t tmpfs tmpfs /var/log";
    const printed = inLab([MACHINE, away, install, list, PODS, 'echo "@@"', log].join("\n"));
    const [, told = ""] = printed.split("@@\n");
    expect(told).toMatch(
      /^\S+ \S+Z {2}ADD {2}default\/web-0 eth0 {2}podnet {2}.* ms {2}10\.20\.1\.2\/32 {2}\(/m,
    );
    expect(told).toMatch(/^[\d.]+\tdefault\/web-1$/m);
    expect(more).toEqual([]);
  });

  test("what is not run says why", () => {
    for (const block of blocks("sh no-test")) {
      const isForWholeMachine = /npm (test|run demo)/.test(block);
      expect(isForWholeMachine || block.startsWith("# Not run by the tests: "), block).toBe(true);
    }
  });
});

describe("upgrade, downgrade, uninstall", () => {
  test("its commands run: what would be done is done, and what was done is undone", () => {
    const [lifecycle = "", ...more] = blocks("sh lifecycle");
    const left =
      "find /opt /run/slash32 -type f 2>&- || true; ls /etc/cni/net.d | grep slash32 || true; echo end";
    const [plan, install, survey, uninstall, files] = inLab(
      [MACHINE, lifecycle.replaceAll(/(?<=\n)(?=\S)/g, 'echo "@@"\n'), `echo "@@"\n${left}`].join("\n"),
    ).split("@@\n");
    expect(plan).toMatch(/^\+ executable .*\n\+ node file .*\n\+ list .*$/m);
    expect(install).toMatch(/^✓ trial .*\n✓ executable .*\n✓ node file .*\n✓ list .*$/m);
    expect(survey).toMatch(/^\+ node file .*\n\+ list .*\n\+ executable .*$/m);
    expect(uninstall).toMatch(
      /^✓ list .*\n[\s\S]*There is nothing else of slash32 on this node: looked in .*\.$/m,
    );
    expect({ files, more }).toEqual({ files: "end", more: [] });
  });

  test("every file that is told of is one that the source knows", () => {
    const names = [
      "install.lock",
      ".trial",
      ".slash32-new",
      ".slash32-old",
      "leases.db",
      "node.json",
      "writtenBy",
    ];
    const source = [
      "install/places.ts",
      "install/aside.ts",
      "install/mark.ts",
      "ipam/store.ts",
      "cni/node.ts",
    ]
      .map((file) => readFileSync(join(ROOT, "src", file), "utf8"))
      .join("");
    for (const name of names) {
      expect(README).toContain(name);
      expect(source).toContain(name);
    }
  });
});

describe("explanations", () => {
  const [install = ""] = blocks("sh");
  const explain = blocks("sh explain").join("");

  test("its commands run, and each explains", () => {
    // What the doctor says of a machine that is not ours is not for this test to know.
    const tolerant = explain.replace(/^slash32 doctor$/m, "slash32 doctor || true");
    const printed = inLab([MACHINE, install, PODS, tolerant].join("\n"));
    expect(printed).toMatch(/^ip link add cali\w+ address ee:ee:ee:ee:ee:ee /m);
    expect(printed).toMatch(/^✓ default\/web-1 {2}10\.20\.1\.3 {2}cali\w+ {2}is as ADD left it$/m);
    expect(printed).toContain("✓ Nothing is wrong on the way there and back.");
    expect(printed).toMatch(/^slash32 \S+ on \S+: podnet, 2 pods$/m);
    expect(printed).toMatch(/^10\.20\.1\.2 {2}podnet\/web-0\/eth0 {2}default\/web-0$/m);
    expect(printed).toMatch(/^store and kernel agree$/m);
    expect(explain.match(/^slash32 \w+/gm)).toEqual(
      expect.arrayContaining(["plan", "check", "trace", "doctor", "ipam"].map((name) => `slash32 ${name}`)),
    );
  });

  test("its trace is what is printed of that fault", () => {
    const ask = "ip route delete 10.20.1.3; slash32 trace default/web-0 default/web-1 || true";
    expect(`${inLab([MACHINE, install, PODS, ask].join("\n"))}\n`).toBe(blocks("text trace").join(""));
  });

  test("its table of faults is made of test/faults (npm run faults:table)", () => {
    expect(README).toBe(withFaultTable(README));
  });
});

describe("what it shows", () => {
  let demo: string;
  beforeAll(() => {
    demo = execaSync("bash", ["scripts/lab.sh", "node_modules/.bin/bun", "scripts/demo/demo.ts"], {
      cwd: ROOT,
    }).stdout;
  });

  test("the demo prints the excerpt, line by line and in this order", () => {
    const printed = timeless(demo);
    let at = 0;
    for (const line of blocks("text demo").flatMap((block) => timeless(block))) {
      const found = printed.indexOf(line, at);
      expect(found, `the demo's line: ${line}`).toBeGreaterThanOrEqual(0);
      at = found;
    }
  });

  test("the demo opens with the same picture", () => {
    const [picture = ""] = blocks("text");
    expect(demo).toContain(picture);
  });

  test("its result is what ADD answered in the demo", () => {
    const [shown] = blocks("json").filter((block) => block.includes('"interfaces"'));
    const [, answer = ""] = /^ {4}(\{\n[\s\S]*?\n {4}\})$/m.exec(demo) ?? [];
    expect(JSON.parse(shown ?? "")).toEqual(JSON.parse(answer));
  });
});

describe("tables", () => {
  const { properties } = JSON.parse(readFileSync(join(ROOT, "schemas/netconf.schema.json"), "utf8"));
  const { properties: node } = JSON.parse(readFileSync(join(ROOT, "schemas/node.schema.json"), "utf8"));

  test.each(Object.entries<{ default?: unknown }>(properties))(
    "tell of the key %s and its default",
    (key, schema) => {
      expect(README).toContain(`\n| \`${key}\` | `);
      if (schema.default !== undefined) expect(README).toContain(`\n| \`${key}\` | \`${schema.default}\` | `);
    },
  );

  test("tell of every key of ipam, of the capabilities and of node.json", () => {
    const keys = [properties.ipam, properties.runtimeConfig].flatMap((schema) =>
      Object.keys(schema.properties),
    );
    for (const key of keys) expect(README).toContain(`\`${key}\``);
    for (const key of Object.keys(node)) expect(README).toContain(`"${key}"`);
  });

  test.each(Object.entries(Code))("tell of the error code for %s", (name, code) => {
    // Never used: whoever writes the configuration may write anything.
    if (name === "unsupportedField") return;
    expect(README).toContain(`\n| ${code} | `);
  });

  test("tell of every reason, and of none that there is not", () => {
    const directory = join(ROOT, "src/cni");
    const source = readdirSync(directory).map((file) => readFileSync(join(directory, file), "utf8"));
    // In quotes, as nothing else is but the names of classes.
    const words = new Set(source.join("").match(/(?<=(?<!name = )")[A-Z][a-z]+([A-Z][a-z]+)+(?=")/g));
    const [, table = ""] = README.split("## When something is wrong");
    const told = Array.from(table.matchAll(/^\| [^|]+ \| `(\w+)`/gm), ([, word]) => word);
    expect(told.sort()).toEqual([...words].sort());
  });
});

/** Lines without what differs from run to run, and without blank ones. */
function timeless(text: string): string[] {
  return text
    .replaceAll(/time=[\d.]+ ms|total time [\d.]+ s/g, "")
    .split("\n")
    .filter((line) => line.trim() !== "");
}
