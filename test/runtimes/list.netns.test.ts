// Lists of plugins in CNI 1.1.0, which Debian's runtimes do not speak yet: STATUS and GC.

import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test as base, expect } from "vitest";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { type ListAttachment, NetworkList } from "../helpers/network-list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { EXECUTABLE } from "../helpers/plugin.ts";
import { remark } from "../helpers/remark.ts";
import { assertValid } from "../helpers/schema.ts";

/** A plugin that passes on what it gets and writes down what it is asked; it refuses the verb that is in `refused`. */
const PASSENGER = `#!/bin/sh
here=$(dirname "$0")
input=$(cat)
printf '%s %s\\n' "$CNI_COMMAND" "$(echo "$input" | jq -c '{
  prevResult: (.prevResult.ips[0].address), valid: ."cni.dev/valid-attachments", runtimeConfig
} | del(..|nulls)')" >>"$here/asked"
if [ "$CNI_COMMAND" = "$(cat "$here/refused")" ]; then
  echo '{ "cniVersion": "1.1.0", "code": 11, "msg": "not today" }'
  exit 1
fi
[ "$CNI_COMMAND" != ADD ] || echo "$input" | jq .prevResult
`;

function newPod(containerId: string): ListAttachment {
  return { containerId, sandbox: new TestNetns("pod") };
}

class Scene implements Disposable {
  readonly host = new TestHost();
  readonly pods = [newPod("pod-1"), newPod("pod-2"), newPod("pod-3")] as const;
  readonly path = join(this.host.stateDir, "bin");

  constructor() {
    mkdirSync(this.path);
    symlinkSync(EXECUTABLE, join(this.path, "slash32"));
    writeFileSync(join(this.path, "passenger"), PASSENGER);
    chmodSync(join(this.path, "passenger"), 0o755);
    this.refuse("nothing");
  }

  /** A runtime that knows of no attachment: slash32 for two pods at most, and a plugin after it. */
  runtime(): NetworkList {
    const ipam = { type: "slash32", ranges: [[{ subnet: "10.20.1.0/29", rangeEnd: "10.20.1.3" }]] };
    const capabilities = { ips: true };
    const slash32 = { type: "slash32", stateDir: this.host.stateDir, ipam, capabilities };
    return new NetworkList(this.host, this.path, [
      slash32,
      { type: "passenger", capabilities: { mac: true } },
    ]);
  }

  refuse(verb: string): void {
    writeFileSync(join(this.path, "refused"), verb);
  }

  /** What the second plugin was asked, since the last time. */
  asked(): string[] {
    const { stdout } = this.host.exec("sh", "-c", 'cat "$1/asked"; : >"$1/asked"', "sh", this.path);
    return stdout.split("\n").filter(Boolean);
  }

  [Symbol.dispose](): void {
    for (const { sandbox } of this.pods) sandbox[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

const test = base.extend<{ scene: Scene }>({
  scene: async ({ task }, use) => {
    using scene = new Scene();
    if (task.file.meta.remarks === undefined) {
      remark(task.file, "CNI 1.1.0 by a runner of our own (test/helpers/network-list.ts)");
    }
    await use(scene);
  },
});

test("ADD, CHECK and DEL go through the list, with the final result for CHECK and DEL", ({ scene }) => {
  const runtime = scene.runtime();
  const offers = { ips: ["10.20.1.3"], mac: "02:00:00:00:00:09" };
  const pod = { ...scene.pods[0], offers };
  const result = runtime.add(pod);
  assertValid("result-1.1.0", result);
  expect(result.ips).toEqual([{ address: "10.20.1.3/32", interface: 1 }]);
  runtime.check(pod);
  runtime.del(pod);
  runtime.del(pod);
  const runtimeConfig = '"runtimeConfig":{"mac":"02:00:00:00:00:09"}';
  expect(scene.asked()).toEqual([
    `ADD {"prevResult":"10.20.1.3/32",${runtimeConfig}}`,
    `CHECK {"prevResult":"10.20.1.3/32",${runtimeConfig}}`,
    `DEL {"prevResult":"10.20.1.3/32",${runtimeConfig}}`,
    `DEL {${runtimeConfig}}`,
  ]);
  expect(remains(scene.host)).toEqual(NOTHING);
});

test("an ADD that a later plugin refuses is undone", ({ scene }) => {
  scene.refuse("ADD");
  expect(() => scene.runtime().add(scene.pods[0])).toThrow("Cannot ADD with passenger: not today");
  expect(remains(scene.host)).toEqual(NOTHING);
});

test("STATUS is code 50 as long as there is no free address, and later plugins are not asked", ({
  scene,
}) => {
  const runtime = scene.runtime();
  const [first, second] = scene.pods;
  runtime.status();
  for (const pod of [first, second]) runtime.add(pod);
  scene.asked();
  expect(() => runtime.status()).toThrow(expect.objectContaining({ type: "slash32", code: 50 }));
  expect(scene.asked()).toEqual([]);

  runtime.del(first);
  scene.asked();
  runtime.status();
  expect(scene.asked()).toEqual(["STATUS {}"]);
  scene.refuse("STATUS");
  expect(() => runtime.status()).toThrow(expect.objectContaining({ type: "passenger", code: 11 }));
  runtime.del(second);
});

test("GC by a runtime that forgot everything takes away what is not valid, and lets the rest alone", ({
  scene,
}) => {
  const [kept, forgotten, next] = scene.pods;
  const before = scene.runtime();
  for (const pod of [kept, forgotten]) before.add(pod);
  scene.asked();

  const after = scene.runtime();
  after.gc([kept]);
  expect(scene.asked()).toEqual(['GC {"valid":[{"containerID":"pod-1","ifname":"eth0"}]}']);
  expect(remains(scene.host)).toMatchObject({
    attachments: ["pod-1/eth0"],
    leases: 1,
    routes: ["10.20.1.2"],
  });
  expect(kept.sandbox.ping("198.51.100.1").received).toBe(1);
  before.check(kept);

  expect(after.add(next).ips).toEqual([{ address: "10.20.1.3/32", interface: 1 }]);
  after.gc([]);
  expect(remains(scene.host)).toEqual(NOTHING);
});

test("GC reaches every plugin, also when one refuses or a sandbox is gone", ({ scene }) => {
  const runtime = scene.runtime();
  const [pod] = scene.pods;
  runtime.add(pod);
  pod.sandbox[Symbol.dispose]();
  scene.refuse("GC");
  expect(() => runtime.gc([])).toThrow("Cannot GC with passenger: not today");
  expect(remains(scene.host)).toEqual(NOTHING);
  scene.refuse("nothing");
  runtime.gc([]);
  runtime.del(pod);
});
