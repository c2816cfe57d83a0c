// podman with slash32, by its CNI back end.

import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Enclosure } from "../helpers/enclosure.ts";
import { buildPod, IMAGE, packPod } from "../helpers/image.ts";
import { TestHost } from "../helpers/lab.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { Podman } from "../helpers/podman.ts";
import { installed, remark } from "../helpers/remark.ts";

// Other work may keep the machine busy.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const all = new AsyncDisposableStack();
let host: TestHost;
let enclosure: Enclosure;
let podman: Podman;

beforeAll(async () => {
  host = all.use(new TestHost());
  const pod = buildPod(host.stateDir);
  const image = packPod(pod, host.stateDir);
  enclosure = all.use(await Enclosure.open(host, pod));
  const networks = [network("podnet", "10.20.1.0/24"), network("backend", "10.20.2.0/24")];
  podman = await Podman.open(enclosure, { directory: join(host.stateDir, "podman"), image, networks });
});

afterEach(async () => {
  await podman.removeAll();
  expect([remains(host), remains(host, "backend")]).toEqual([NOTHING, NOTHING]);
});

afterAll(() => all.disposeAsync());

function network(name: string, subnet: string) {
  const ipam = { type: "slash32", ranges: [[{ subnet }]] };
  const capabilities = { ips: true, mac: true };
  const slash32 = { type: "slash32", stateDir: host.stateDir, ipam, capabilities };
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  return { cniVersion: "1.0.0", name, plugins: [slash32, portmap] };
}

/** Runs a command in the network of a container. */
async function inContainer(name: string, ...command: readonly string[]) {
  const path = await podman.run("inspect", "--format", "{{.NetworkSettings.SandboxKey}}", name);
  return enclosure.exec("nsenter", `--net=${path}`, "--", ...command);
}

const ping = (address: string) => ["ping", "-n", "-c", "1", "-W", "3", address] as const;

test("podman answers, and lists its networks", async ({ task }) => {
  const version = await podman.run("version", "--format", "{{.Client.Version}}");
  const packages = installed("podman", "runc", "conmon", "containernetworking-plugins");
  remark(task.file, `podman ${version} (Debian's ${packages})`);
  expect(await podman.run("info", "--format", "{{.Host.NetworkBackend}}")).toBe("cni");
  const networks = await podman.run("network", "ls", "--format", "{{.Name}} {{.Driver}}");
  expect(networks.split("\n").toSorted()).toEqual(["backend slash32", "podnet slash32"]);
});

describe("a container", () => {
  test("has an address, reaches others and the world, and labels its host end", async () => {
    const id = await podman.start(["--name=web"], IMAGE);
    await podman.start(["--name=db"], IMAGE);
    const networks = await podman.networks("web");
    expect(networks).toMatchObject({ podnet: { IPAddress: "10.20.1.2", IPPrefixLen: 32 } });

    expect(host.ping("10.20.1.2").received).toBe(1);
    expect(await inContainer("web", ...ping("10.20.1.3"))).toMatchObject({ exitCode: 0 });
    expect(await inContainer("db", ...ping("198.51.100.1"))).toMatchObject({ exitCode: 0 });
    const links = host.ip("link", "show", "type", "veth") as { ifalias?: string }[];
    expect(links).toContainEqual(expect.objectContaining({ ifalias: `slash32 podnet/${id}/eth0 pod web` }));
  });

  test("that ends gives its address back, and has another when it is started again", async () => {
    await podman.start(["--name=web"], IMAGE);
    await podman.run("stop", "--time=1", "web");
    // conmon has podman tidy up, after it told that the container ended.
    await expect.poll(() => remains(host), { timeout: 10_000 }).toEqual(NOTHING);

    await podman.run("start", "web");
    const { IPAddress: address = "" } = (await podman.networks("web")).podnet ?? {};
    expect(address).toMatch(/^10\.20\.1\.\d+$/);
    expect(host.ping(address).received).toBe(1);
  });

  test("answers at a port of the host, on all of its addresses or on one", async () => {
    const ports = ["--publish=18080:8080", "--publish=192.0.2.1:18081:8080"];
    await podman.start(["--name=web", ...ports], IMAGE, "8080");
    for (const port of ["18080", "18081"]) {
      const ask = () => host.router.exec("bash", "-c", `cat </dev/tcp/192.0.2.1/${port}`);
      await expect.poll(ask, { timeout: 10_000 }).toMatchObject({ stdout: "192.0.2.254" });
    }
    await podman.run("rm", "--force", "--time=1", "web");
    expect(host.exec("iptables-save", "-t", "nat").stdout).not.toContain("10.20.1.");
  });

  test("has the address and the MAC it asks for, as long as they are free", async () => {
    await podman.start(["--name=web", "--ip=10.20.1.77", "--mac-address=02:00:00:00:00:05"], IMAGE);
    expect(await podman.networks("web")).toMatchObject({
      podnet: { IPAddress: "10.20.1.77", MacAddress: "02:00:00:00:00:05" },
    });
    expect(host.ping("10.20.1.77").received).toBe(1);
    await expect(podman.start(["--ip=10.20.1.77"], IMAGE)).rejects.toThrow(
      /AddressUnavailable: Cannot lease the requested address 10\.20\.1\.77: it is held by podnet\//,
    );
  });

  test("keeps address and MAC when its networks are set up anew", async () => {
    await podman.start(["--name=web"], IMAGE);
    const before = await podman.networks("web");
    await podman.run("network", "reload", "web");
    expect(await podman.networks("web")).toEqual(before);
    expect(host.ping(before.podnet?.IPAddress ?? "").received).toBe(1);
  });
});

describe("several networks", () => {
  test("give a container an address each", async () => {
    await podman.start(["--name=web", "--network=podnet", "--network=backend:ip=10.20.2.99"], IMAGE);
    const networks = await podman.networks("web");
    expect(networks.backend?.IPAddress).toBe("10.20.2.99");
    for (const { IPAddress } of Object.values(networks)) expect(host.ping(IPAddress).received).toBe(1);
    expect(await inContainer("web", ...ping("198.51.100.1"))).toMatchObject({ exitCode: 0 });
  });

  test("can be joined and left while the container runs", async () => {
    await podman.start(["--name=web"], IMAGE);
    await podman.run("network", "connect", "backend", "web");
    const { podnet, backend } = await podman.networks("web");
    for (const { IPAddress = "" } of [podnet ?? {}, backend ?? {}])
      expect(host.ping(IPAddress).received).toBe(1);

    await podman.run("network", "disconnect", "backend", "web");
    expect(remains(host, "backend").attachments).toEqual([]);
    expect(host.ping(podnet?.IPAddress ?? "").received).toBe(1);
    expect(await inContainer("web", ...ping("198.51.100.1"))).toMatchObject({ exitCode: 0 });
  });
});

test("containers that are started at once have addresses of their own", async () => {
  await Promise.all(Array.from({ length: 8 }, () => podman.start([], IMAGE)));
  expect(remains(host)).toMatchObject({ leases: 8, attachments: { length: 8 }, routes: { length: 8 } });
  expect(new Set(remains(host).routes).size).toBe(8);
});
