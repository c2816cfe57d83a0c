// What a cluster is given in deploy/base. That it works is for npm run test:kubernetes to tell; here is what must not slip.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { describe, expect, test } from "vitest";
import { EXECUTABLE } from "./helpers/plugin.ts";

const DEPLOY = join(import.meta.dirname, "../deploy");

/** All documents of a file. */
function documents(file: string, directory = "base") {
  const found: unknown = Bun.YAML.parse(readFileSync(join(DEPLOY, directory, file), "utf8"));
  return Array.isArray(found) ? found : [found];
}

const [kustomization] = documents("kustomization.yaml");
const resources = kustomization.resources.flatMap((file: string) => documents(file));
const ofKind = (kind: string) => resources.find((resource: { kind: string }) => resource.kind === kind);
const { spec: pod } = ofKind("DaemonSet").spec.template;
const [installer] = pod.initContainers;
const [log] = pod.containers;

test("it may look at nodes, and do nothing else", () => {
  expect(ofKind("ClusterRole").rules).toEqual([{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }]);
  const name = pod.serviceAccountName;
  expect(ofKind("ServiceAccount").metadata.name).toBe(name);
  expect(ofKind("ClusterRoleBinding").subjects).toEqual([
    { kind: "ServiceAccount", name, namespace: kustomization.namespace },
  ]);
});

test("it goes to every node that has Linux, before everything else", () => {
  expect(pod).toMatchObject({
    nodeSelector: { "kubernetes.io/os": "linux" },
    hostNetwork: true,
    priorityClassName: "system-node-critical",
    tolerations: [{ operator: "Exists" }],
  });
});

describe("its containers", () => {
  test.each([installer, log])("$name has no more rights than it needs", ({ securityContext }) => {
    expect(securityContext).toMatchObject({
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
      capabilities: { drop: ["ALL"] },
    });
    expect(securityContext).not.toHaveProperty("privileged");
  });

  test("only the one that installs has capabilities, and they are three", () => {
    expect(installer.securityContext.capabilities.add).toEqual(["DAC_OVERRIDE", "NET_ADMIN", "SYS_ADMIN"]);
    expect(log.securityContext.capabilities).not.toHaveProperty("add");
    expect(log.securityContext.allowPrivilegeEscalation).toBe(false);
  });

  test("neither SELinux nor AppArmor keeps them from the host's directories, or from the trial", () => {
    expect(pod.securityContext).toEqual({ seLinuxOptions: { type: "spc_t", level: "s0" } });
    expect(installer.securityContext.appArmorProfile).toEqual({ type: "Unconfined" });
    expect(log.securityContext).not.toHaveProperty("appArmorProfile");
  });

  test("the one that installs sees what it writes, below the root that it is told", () => {
    const root = installer.args.find((arg: string) => arg.startsWith("--root=")).replace("--root=", "");
    const mounts = installer.volumeMounts.map(({ name, mountPath }: Record<string, string>) => [
      name,
      mountPath,
    ]);
    const volumes = pod.volumes.map(({ name, hostPath }: { name: string; hostPath: { path: string } }) => [
      name,
      `${root}${hostPath.path}`,
    ]);
    expect(mounts).toEqual(volumes);
  });

  test("the one that installs fails where another network would be taken, for all to see", () => {
    expect(installer.args).toContain("--require-first");
  });

  test.each([installer, log])("$name is given options that slash32 knows", ({ args }) => {
    // Not in a pod: it is refused, but not for its arguments. What would go on for ever has nothing to read.
    const finite = args.filter((arg: string) => arg !== "--follow");
    const { exitCode, stderr } = execaSync(EXECUTABLE, finite, { reject: false, extendEnv: false });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringMatching(/NODE_NAME|no such file/),
    });
  });
});

test("before Kubernetes 1.30 all is the same, but that AppArmor is told by an annotation, and seccomp keeps out of installing", () => {
  const [{ bases, patchesJson6902 }] = documents("kustomization.yaml", "before-1.30");
  expect({ bases, patchesJson6902 }).toEqual({
    bases: ["../base"],
    patchesJson6902: [
      { path: "security.yaml", target: { group: "apps", version: "v1", kind: "DaemonSet", name: "slash32" } },
    ],
  });
  expect(documents("security.yaml", "before-1.30").flat()).toEqual([
    { op: "remove", path: "/spec/template/spec/initContainers/0/securityContext/appArmorProfile" },
    {
      op: "add",
      path: "/spec/template/metadata/annotations",
      value: { [`container.apparmor.security.beta.kubernetes.io/${installer.name}`]: "unconfined" },
    },
    {
      op: "replace",
      path: "/spec/template/spec/initContainers/0/securityContext/seccompProfile/type",
      value: "Unconfined",
    },
  ]);
  // They would be replaced.
  expect(ofKind("DaemonSet").spec.template.metadata).not.toHaveProperty("annotations");
});
