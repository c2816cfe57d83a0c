// The executable needs nothing of the machine: no library, no program, no file beside its own. So one is for all, with
// glibc, with musl, or with none.
import { execaSync } from "execa";
import { expect, test } from "vitest";
import { TestHost, TestNetns } from "./helpers/lab.ts";
import { add, check, del, EXECUTABLE, netconf, version } from "./helpers/plugin.ts";

/**
 * Starts an executable in a root that has nothing but itself, what the kernel shows in /proc, the names of namespaces,
 * and the directory for state: ALONE STATE EXECUTABLE [ARGUMENT...].
 */
const ALONE = `
root=/run/alone state=$1 executable=$2
shift 2
mkdir -p $root
mount -t tmpfs tmpfs $root
mkdir -p $root/proc $root/run/netns $root$state
cp $executable $root/slash32
mount --bind /proc $root/proc
mount --rbind /run/netns $root/run/netns
mount --bind $state $root$state
exec chroot $root /slash32 "$@"
`;

function alone({ stateDir }: TestHost): [string, ...string[]] {
  return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", ALONE, "sh", stateDir];
}

test("it asks for no library and no loader", () => {
  const { stdout } = execaSync("readelf", ["--wide", "--program-headers", EXECUTABLE]);
  expect(stdout).toMatch(/^ +LOAD /m);
  expect(stdout).not.toMatch(/^ +(INTERP|DYNAMIC) /m);
});

test("alone in its root it makes a pod, confirms it, and takes it away", () => {
  using host = new TestHost();
  using sandbox = new TestNetns("sandbox");
  const through = alone(host);
  const call = { host, netns: sandbox, through };

  expect(version({ host, through, netconf: {} }).json?.supportedVersions).toContain("1.1.0");
  const { json, stdout } = add({ ...call, netconf: netconf(host) });
  expect(json?.ips?.[0]?.address, stdout).toBe("10.20.1.2/32");
  expect(host.ping("10.20.1.2").received).toBe(1);

  const confirmed = check({ ...call, netconf: netconf(host, { prevResult: json }) });
  expect(confirmed).toMatchObject({ exitCode: 0, stdout: "" });
  expect(del({ ...call, netconf: netconf(host) })).toMatchObject({ exitCode: 0, stdout: "" });
  expect(host.ip("route", "show", "proto", "32")).toEqual([]);
});

test("alone in its root it answers a person", () => {
  using host = new TestHost();
  const [command, ...args] = alone(host);
  const { stdout, stderr, exitCode } = host.exec(command, ...args, EXECUTABLE, "--version");
  expect({ stdout, stderr, exitCode }).toEqual({
    stdout: expect.stringMatching(/^slash32 \d+\.\d+\.\d+$/),
    stderr: "",
    exitCode: 0,
  });
});
