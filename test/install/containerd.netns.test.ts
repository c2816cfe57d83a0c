// A running containerd: sees the list when it comes, makes a pod with it, and sees it go.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { slash32 } from "../helpers/command.ts";
import { Containerd } from "../helpers/containerd.ts";
import { Enclosure } from "../helpers/enclosure.ts";
import { buildPod, packPod } from "../helpers/image.ts";
import { TestHost } from "../helpers/lab.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";

vi.setConfig({ testTimeout: 180_000 });

test("containerd is ready when install is done, and not any more when uninstall is", async () => {
  await using all = new AsyncDisposableStack();
  const host = all.use(new TestHost());
  const pod = buildPod(host.stateDir);
  const enclosure = all.use(await Enclosure.open(host, pod));
  const directory = join(host.stateDir, "containerd");
  const plugins = [{ type: "ptp", ipam: { type: "host-local", subnet: "10.21.0.0/24" } }];
  const networks = { podnet: { cniVersion: "1.0.0", name: "first", plugins } };
  const containerd = await Containerd.start(enclosure, {
    directory,
    image: packPod(pod, host.stateDir),
    networks,
  });
  all.defer(() => containerd.cri.close());
  const isReady = async () => {
    const { status } = await containerd.cri.Status({});
    return status.conditions.find(({ type }) => type === "NetworkReady")?.status;
  };
  const places = ["--cni-conf-dir", join(directory, "net.d/podnet"), "--cni-bin-dir", join(directory, "bin")];
  const stateDir = ["--state-dir", join(host.stateDir, "slash32")];
  const person = (...args: string[]) => slash32(host, [...args, ...places, ...stateDir]);

  rmSync(join(directory, "net.d/podnet/10-test.conflist"));
  rmSync(join(directory, "bin/slash32"));
  await vi.waitUntil(async () => (await isReady()) === false, { timeout: 10_000 });

  expect(person("install", "--pod-cidr", "10.20.1.0/24")).toMatchObject({ exitCode: 0, stderr: "" });
  await vi.waitUntil(isReady, { timeout: 10_000 });
  const metadata = { name: "web-0", uid: "uid-0", namespace: "default" };
  const config = { metadata, linux: { cgroupParent: `/${enclosure.cgroup}/web-0` } };
  const { podSandboxId } = await containerd.cri.RunPodSandbox({ config, runtimeHandler: "podnet" });
  const { status } = await containerd.cri.PodSandboxStatus({ podSandboxId });
  expect(status.network.ip).toBe("10.20.1.2");
  expect(person("uninstall").stderr).toContain("1 pod is attached (default/web-0)");

  await containerd.cri.StopPodSandbox({ podSandboxId });
  await containerd.cri.RemovePodSandbox({ podSandboxId });
  expect(person("uninstall")).toMatchObject({ exitCode: 0, stderr: "" });
  await vi.waitUntil(async () => (await isReady()) === false, { timeout: 10_000 });
  expect(remains(host)).toEqual(NOTHING);
});
