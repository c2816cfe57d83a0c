// slash32 install --from-kubernetes: the node's pod CIDRs from its API server, asked as a pod asks.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { execa } from "execa";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ApiServer } from "../helpers/api-server.ts";
import { TestAuthority } from "../helpers/certificates.ts";
import { CONFLIST, InstallNode } from "../helpers/installed.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";

/** The lab's own /run is behind it. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const ADDRESS = "10.96.0.1";
const PATH = "/api/v1/nodes/worker-1";
const ENVIRONMENT = {
  NODE_NAME: "worker-1",
  KUBERNETES_SERVICE_HOST: ADDRESS,
  KUBERNETES_SERVICE_PORT: "6443",
};

let authority: TestAuthority;
let node: InstallNode;
let server: ApiServer;

beforeAll(async () => {
  authority = new TestAuthority();
  node = new InstallNode();
  node.host.ipBatch(`address add ${ADDRESS} dev lo`);
  server = await ApiServer.start(
    node.host,
    ADDRESS,
    authority.sign({ names: ["DNS:kubernetes.default.svc"] }),
  );
  mkdirSync(SERVICE_ACCOUNT, { recursive: true });
});

beforeEach(() => {
  copyFileSync(authority.caFile, `${SERVICE_ACCOUNT}/ca.crt`);
  writeFileSync(`${SERVICE_ACCOUNT}/token`, "right\n");
});

afterAll(() => {
  rmSync("/run/secrets", { recursive: true });
  server[Symbol.dispose]();
  node[Symbol.dispose]();
  authority[Symbol.dispose]();
});

function install(env: Record<string, string> = {}, ...args: readonly string[]) {
  return node.install(["--from-kubernetes", "--timeout", "5s", ...args], { env: { ...ENVIRONMENT, ...env } });
}

test.each([
  [
    { podCIDR: "10.20.1.0/24", podCIDRs: ["10.20.1.0/24", "fd00:20:1::/64"] },
    ["10.20.1.0/24", "fd00:20:1::/64"],
  ],
  [{ podCIDR: "10.20.2.0/24" }, ["10.20.2.0/24"]],
])("of spec %j they are %j", (spec, podCIDRs) => {
  server.serve(PATH, { body: { kind: "Node", spec } });
  const { stdout, stderr, exitCode } = install({}, "--json");
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({ podCIDRs });
  expect(JSON.parse(node.read("/run/slash32/node.json"))).toMatchObject({ podCIDRs });
});

test.each([
  [{ nodeInfo: { containerRuntimeVersion: "containerd://2.0.2" } }, "1.1.0"],
  [{ nodeInfo: { containerRuntimeVersion: "containerd://1.7.13" } }, "1.0.0"],
  [{ nodeInfo: { containerRuntimeVersion: "docker://20.10.24" } }, "0.4.0"],
  [{ nodeInfo: {} }, "1.0.0"],
  [undefined, "1.0.0"],
])("beside them, status %j says that the list is to be in CNI %s", (status, cniVersion) => {
  server.serve(PATH, { body: { spec: { podCIDR: "10.20.1.0/24" }, status } });
  expect(install()).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(node.read(CONFLIST))).toMatchObject({ cniVersion });
});

test("are asked for where a node file tells the MTU alone", () => {
  server.serve(PATH, { body: { spec: { podCIDR: "10.20.4.0/24" } } });
  node.write("/mtu.json", '{ "mtu": 1300 }');
  expect(install({}, "--node-file", node.at("/mtu.json"))).toMatchObject({ exitCode: 0, stderr: "" });
  expect(JSON.parse(node.read("/run/slash32/node.json"))).toEqual({ podCIDRs: ["10.20.4.0/24"], mtu: 1300 });
});

test("are waited for, and whoever watches is told", async () => {
  server.serve(PATH, { body: { spec: {} } });
  const command = [EXECUTABLE, "install", "--root", node.root, "--from-kubernetes", "--timeout", "20s"];
  const installing = execa("nsenter", [`--net=${node.host.path}`, "--", ...command], { env: ENVIRONMENT });
  await new Promise((resolve) => installing.stderr.once("data", resolve));
  server.serve(PATH, { body: { spec: { podCIDRs: ["10.20.3.0/24"] } } });
  const { stderr } = await installing;
  expect(stderr).toBe('slash32 install: waiting (0 s of 20 s): node "worker-1" has no spec.podCIDRs yet');
  expect(JSON.parse(node.read("/run/slash32/node.json"))).toMatchObject({ podCIDRs: ["10.20.3.0/24"] });
});

describe("are not learned, and the node is as before:", () => {
  /** The last line on stderr: why not. */
  const refused = (...asked: Parameters<typeof install>): string => {
    const before = node.files();
    const { stdout, stderr, exitCode } = install(...asked);
    expect({ exitCode, stdout, files: node.files() }).toEqual({ exitCode: 1, stdout: "", files: before });
    return (stderr.split("\n").at(-1) ?? "").slice("slash32 install: ".length);
  };

  test("they do not come in time", () => {
    server.serve(PATH, { body: { spec: { podCIDRs: [] } } });
    expect(refused({}, "--timeout", "1500ms")).toBe(
      'Cannot learn the pod CIDRs of node "worker-1" in 1.5 s: node "worker-1" has no spec.podCIDRs yet',
    );
  });

  test.each([
    [401, "Unauthorized", "the service account's token is not accepted"],
    [403, "Forbidden", 'the service account may not look at nodes: allow it to "get" "nodes"'],
    [404, "Not Found", "there is no such node: NODE_NAME has to be the pod's spec.nodeName"],
  ])("the answer is %d", (status, reason, words) => {
    if (status === 401) writeFileSync(`${SERVICE_ACCOUNT}/token`, "old");
    server.serve(PATH, { status });
    expect(refused()).toBe(`Cannot read node "worker-1": ${status} ${reason}: ${words}`);
  });

  test("the server is busy", () => {
    server.serve(PATH, { status: 503 });
    expect(refused({}, "--timeout", "900ms")).toContain("503 Service Unavailable");
  });

  test.each([
    ["no JSON", { text: "<html>starting</html>" }],
    ["no object", { body: "starting" }],
  ])("the answer is %s, as long as it is waited for", (_, answer) => {
    server.serve(PATH, answer);
    expect(refused({}, "--timeout", "900ms")).toBe(
      'Cannot learn the pod CIDRs of node "worker-1" in 0.9 s: ' +
        'Cannot read node "worker-1": the answer is no JSON object',
    );
  });

  test("the answer ends in the middle, as long as it is waited for", () => {
    server.serve(PATH, { body: { spec: {} }, how: "cut" });
    expect(refused({}, "--timeout", "900ms")).toMatch(/^Cannot learn .* in 0\.9 s: Cannot ask https:/);
  });

  test("the server is another one's", () => {
    using other = new TestAuthority();
    copyFileSync(other.caFile, `${SERVICE_ACCOUNT}/ca.crt`);
    expect(refused()).toMatch(
      /^Cannot ask https:\/\/10\.96\.0\.1:6443: Cannot trust the server's certificate: /,
    );
  });

  test.each([
    ["nobody listens", { KUBERNETES_SERVICE_PORT: "6444" }, /:6444: Cannot connect: Connection refused$/],
    [
      "nothing leads there",
      { KUBERNETES_SERVICE_HOST: "fd00:96::1" },
      /\[fd00:96::1\]:6443: Cannot connect: /,
    ],
  ])("%s", (_, env, words) => {
    node.host.ipBatch("route replace unreachable fd00:96::/64");
    expect(refused(env, "--timeout", "500ms")).toMatch(words);
  });

  test.each([
    ["NODE_NAME", "", /^Cannot ask Kubernetes without NODE_NAME in the environment: expected spec\.nodeName/],
    [
      "KUBERNETES_SERVICE_HOST",
      "kubernetes",
      /^Cannot use KUBERNETES_SERVICE_HOST="kubernetes": expected an address; set it to one in the DaemonSet's env$/,
    ],
    ["KUBERNETES_SERVICE_PORT", "https", /^Cannot use KUBERNETES_SERVICE_PORT="https": expected a port/],
  ])("%s is %j", (name, value, words) => {
    expect(refused({ [name]: value })).toMatch(words);
  });

  test("there is no service account", () => {
    rmSync(`${SERVICE_ACCOUNT}/token`);
    expect(refused()).toMatch(/^Cannot open \S+\/serviceaccount\/token: No such file or directory$/);
  });
});
