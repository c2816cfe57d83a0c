// containerd with slash32, through the socket that the kubelet uses.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Containerd } from "../helpers/containerd.ts";
import type { PodSandboxConfig } from "../helpers/cri.ts";
import { Enclosure } from "../helpers/enclosure.ts";
import { buildPod, packPod } from "../helpers/image.ts";
import { TestHost } from "../helpers/lab.ts";
import { NOTHING, remains, silent } from "../helpers/outcome.ts";
import { gc, netconf } from "../helpers/plugin.ts";
import { Recorder } from "../helpers/recorder.ts";
import { installed, remark } from "../helpers/remark.ts";

// Other work may keep the machine busy, and 50 pods at once take their time.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** Where containerd keeps what ADD answered, for CHECK and DEL. */
const RESULTS = "/var/lib/cni/results";

/** A pod that runs: what containerd and the kernel know it by. */
type Pod = {
  readonly id: string;
  readonly name: string;
  readonly ip: string;
  readonly netns: string;
  /** How long RunPodSandbox took. */
  readonly ms: number;
};

const all = new AsyncDisposableStack();
let host: TestHost;
let enclosure: Enclosure;
let containerd: Containerd;
let recorder: Recorder;
let pod: string;
let count = 0;

beforeAll(async () => {
  host = all.use(new TestHost());
  pod = buildPod(host.stateDir);
  const image = packPod(pod, host.stateDir);
  recorder = new Recorder(join(host.stateDir, "calls"));
  enclosure = all.use(await Enclosure.open(host, pod));
  const directory = join(host.stateDir, "containerd");
  const scripts = { recorder: recorder.script };
  containerd = await Containerd.start(enclosure, { directory, image, scripts, networks: networks(host) });
  all.defer(() => containerd.cri.close());
});

afterAll(() => all.disposeAsync());

/** Lists of plugins by runtime handler. */
function networks(host: TestHost) {
  const own = { type: "slash32", stateDir: host.stateDir, ipam: { ranges: [[{ subnet: "10.20.1.0/24" }]] } };
  const single = { ranges: [[{ subnet: "10.20.9.0/30" }]] };
  const capabilities = { dns: true, portMappings: true };
  const ipam = { type: "host-local", dataDir: join(host.stateDir, "ptp"), routes: [{ dst: "0.0.0.0/0" }] };
  const ranges = [[{ subnet: "10.21.0.0/16" }]];
  const list = (name: string, ...plugins: object[]) => ({ cniVersion: "1.0.0", name, plugins });
  return {
    podnet: list("podnet", { ...own, type: "recorder" }),
    plain: list("podnet", own),
    ports: list(
      "podnet",
      { ...own, type: "recorder", capabilities },
      { type: "portmap", capabilities: { portMappings: true } },
    ),
    single: list("single", { ...own, ipam: single }),
    ptp: list("ptpnet", { type: "ptp", ipam: { ...ipam, ranges } }),
  };
}

type RunOptions = Partial<PodSandboxConfig> & { readonly handler?: keyof ReturnType<typeof networks> };

/** RunPodSandbox, with a name of its own. */
async function run({ handler = "podnet", ...config }: RunOptions = {}): Promise<Pod> {
  count += 1;
  const name = `pod-${count}`;
  const metadata = { name, uid: `uid-${count}`, namespace: "shop" };
  const linux = { cgroupParent: `/${enclosure.cgroup}/${name}` };
  const started = performance.now();
  const { podSandboxId } = await containerd.cri.RunPodSandbox({
    config: { metadata, linux, ...config },
    runtimeHandler: handler,
  });
  const ms = performance.now() - started;
  const { status, info } = await containerd.cri.PodSandboxStatus({ podSandboxId, verbose: true });
  const { namespaces } = JSON.parse(info.info ?? "").runtimeSpec.linux;
  const { path } = namespaces.find(({ type }: { type: string }) => type === "network");
  return { id: podSandboxId, name, ip: status.network.ip, netns: path, ms };
}

/** What the kubelet does when a pod is deleted. */
async function remove(...pods: readonly { readonly id: string }[]): Promise<void> {
  await Promise.all(
    pods.map(async ({ id: podSandboxId }) => {
      await containerd.cri.StopPodSandbox({ podSandboxId });
      await containerd.cri.RemovePodSandbox({ podSandboxId });
    }),
  );
}

function inPod({ netns }: Pod, ...command: readonly string[]) {
  return enclosure.exec("nsenter", `--net=${netns}`, "--", ...command);
}

function canPing(from: Pod, address: string): boolean {
  return inPod(from, "ping", "-n", "-c", "1", "-W", "3", address).exitCode === 0;
}

test("containerd answers, and has found its network", async ({ task }) => {
  const { runtimeName, runtimeVersion } = await containerd.cri.Version({});
  expect(runtimeName).toBe("containerd");
  const packages = installed("containerd", "runc", "containernetworking-plugins");
  remark(task.file, `${runtimeName} ${runtimeVersion} (Debian's ${packages})`);
  const { status } = await containerd.cri.Status({});
  expect(status.conditions).toContainEqual(expect.objectContaining({ type: "NetworkReady", status: true }));
});

describe("a pod", () => {
  test("has an address of the range, reaches others and the world, and is found by its name", async () => {
    const [one, other] = [await run(), await run()];

    expect([one.ip, other.ip]).toEqual(["10.20.1.2", "10.20.1.3"]);
    expect(canPing(one, other.ip)).toBe(true);
    expect(canPing(other, one.ip)).toBe(true);
    expect(canPing(one, "198.51.100.1")).toBe(true);
    expect(host.ping(one.ip).received).toBe(1);
    const links = host.ip("link", "show", "type", "veth") as { ifalias?: string }[];
    expect(links.map(({ ifalias }) => ifalias)).toContainEqual(expect.stringContaining(`shop/${one.name}`));

    await remove(one, other);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("can be stopped and removed twice; nothing is left after the first time", async () => {
    const { id } = await run();
    await containerd.cri.StopPodSandbox({ podSandboxId: id });
    expect(remains(host)).toEqual(NOTHING);
    const { status } = await containerd.cri.PodSandboxStatus({ podSandboxId: id });
    expect(status.state).toBe("SANDBOX_NOTREADY");

    await containerd.cri.StopPodSandbox({ podSandboxId: id });
    await containerd.cri.RemovePodSandbox({ podSandboxId: id });
    await containerd.cri.RemovePodSandbox({ podSandboxId: id });
    const [added, ...deleted] = recorder.calls(id);
    expect(added?.verb).toBe("ADD");
    expect(deleted.map(({ verb, netns }) => [verb, netns !== ""])).toEqual([
      ["DEL", true],
      ["DEL", false],
      ["DEL", false],
    ]);
  });

  test("can be removed when its network namespace was removed behind containerd's back", async () => {
    const lost = await run();
    await enclosure.run("umount", lost.netns);
    await enclosure.run("rm", lost.netns);
    await remove(lost);
    expect(remains(host)).toEqual(NOTHING);
    expect(recorder.calls(lost.id).map(({ netns }) => netns !== "")).toEqual([true, false, false]);
  });

  test("that cannot have an address is refused in words that lead on, and leaves nothing", async () => {
    const only = await run({ handler: "single" });
    await expect(run({ handler: "single" })).rejects.toThrow(
      /plugin type="slash32" failed \(add\): NoFreeAddress: .*; delete pods, or add a range/,
    );
    await remove(only);
    expect(remains(host, "single")).toEqual(NOTHING);
  });
});

test("50 pods at once have addresses of their own, whatever order CNI_ARGS has, and go all at once", async () => {
  const pods = await Promise.all(Array.from({ length: 50 }, () => run()));

  expect(new Set(pods.map(({ ip }) => ip)).size).toBe(50);
  expect(remains(host)).toMatchObject({ leases: 50, attachments: { length: 50 }, routes: { length: 50 } });
  const aliases = (host.ip("link", "show", "type", "veth") as { ifalias?: string }[]).map(
    ({ ifalias }) => ifalias,
  );
  for (const { name } of pods) expect(aliases).toContainEqual(expect.stringMatching(`shop/${name}\\b`));
  const orders = recorder.calls().map(({ args }) => args.replaceAll(/=[^;]*/g, ""));
  expect(new Set(orders).size).toBeGreaterThan(1);

  await remove(...pods);
  expect(remains(host)).toEqual(NOTHING);
});

describe("containerd, killed", () => {
  test("finds its pods again, who did not notice, and can remove them", async () => {
    const [one, other] = [await run(), await run()];
    containerd.kill();
    expect(canPing(one, other.ip)).toBe(true);
    await containerd.start();

    const { items } = await containerd.cri.ListPodSandbox({});
    expect(items.map(({ id, state }) => `${id} ${state}`).toSorted()).toEqual(
      [one, other].map(({ id }) => `${id} SANDBOX_READY`).toSorted(),
    );
    await remove(one, other);
    expect(remains(host)).toEqual(NOTHING);
  });

  test("while it makes pods: what it remembers can be removed, and GC collects what it forgot", async () => {
    const before = recorder.calls().length;
    const runs = Promise.allSettled(Array.from({ length: 6 }, () => run()));
    while (recorder.calls().length < before + 2) await Bun.sleep(5);
    containerd.kill();
    await runs;
    await containerd.start();

    const { items } = await containerd.cri.ListPodSandbox({});
    // A result that it was killed over is empty, and keeps the pod from being removed until somebody does as doctor says.
    await enclosure.run("find", RESULTS, "-size", "0", "-print", "-delete");
    await remove(...items);
    silent(gc({ host, netconf: netconf(host, { "cni.dev/valid-attachments": [] }) }));
    expect(remains(host)).toEqual(NOTHING);
    const next = await run();
    expect(canPing(next, "198.51.100.1")).toBe(true);
    await remove(next);
  });
});

test("ports of the host lead to a pod by portmap, and capabilities come with capitals", async () => {
  const dnsConfig = { servers: ["192.0.2.53"], searches: ["shop.test"], options: ["ndots:5"] };
  const web = await run({
    handler: "ports",
    dnsConfig,
    portMappings: [{ containerPort: 8080, hostPort: 18080 }],
  });
  // It ends with the enclosure.
  const [program, ...args] = enclosure.command("nsenter", `--net=${web.netns}`, "--", pod, "8080");
  Bun.spawn([program, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const ask = () => host.router.exec("bash", "-c", "cat </dev/tcp/192.0.2.1/18080");
  await expect.poll(ask, { timeout: 10_000 }).toMatchObject({ stdout: "192.0.2.254" });

  const [added] = recorder.calls(web.id);
  const { runtimeConfig } = JSON.parse(added?.stdin ?? "");
  expect(runtimeConfig).toMatchObject({
    portMappings: [{ HostPort: 18080 }],
    dns: { Servers: ["192.0.2.53"] },
  });
  const { info } = await containerd.cri.PodSandboxStatus({ podSandboxId: web.id, verbose: true });
  expect(JSON.parse(info.info ?? "").cniResult.DNS).toContainEqual({
    nameservers: ["192.0.2.53"],
    search: ["shop.test"],
    options: ["ndots:5"],
  });

  await remove(web);
  expect(remains(host)).toEqual(NOTHING);
  expect(host.exec("iptables-save").stdout).not.toContain("18080");
});

test("RunPodSandbox with slash32 and with ptp, 20 times each in turn", async ({ task }) => {
  const pods = { plain: [] as Pod[], ptp: [] as Pod[] };
  for (let turn = 0; turn < 20; turn += 1) {
    // Whoever comes second finds caches warm: they take turns in that, too.
    const handlers = turn % 2 === 0 ? (["plain", "ptp"] as const) : (["ptp", "plain"] as const);
    for (const handler of handlers) pods[handler].push(await run({ handler }));
  }
  await remove(...pods.plain, ...pods.ptp);
  expect(remains(host)).toEqual(NOTHING);
  remark(
    task.file,
    `RunPodSandbox, median of ${pods.plain.length} each in turn: slash32 ${medianMs(pods.plain)} ms, ` +
      `ptp with host-local ${medianMs(pods.ptp)} ms`,
  );
});

function medianMs(pods: readonly Pod[]): string {
  const sorted = pods.map(({ ms }) => ms).toSorted((a, b) => a - b);
  const middle = sorted.slice((sorted.length - 1) / 2, sorted.length / 2 + 1);
  return (middle.reduce((sum, ms) => sum + ms, 0) / middle.length).toFixed(0);
}
