// The version of a list by the node's container runtime, as its Node object names it.
import { expect, test } from "vitest";
import { newestFor } from "../../src/install/runtime.ts";

test.each([
  ["containerd://2.0.0", "1.1.0"],
  ["containerd://2.1.4-k3s1", "1.1.0"],
  ["containerd://v2.0.5", "1.1.0"],
  ["containerd://10.0.0", "1.1.0"],
  ["containerd://1.7.28", "1.0.0"],
  ["containerd://1.6.20~ds1", "1.0.0"],
  ["containerd://1.5.13", "0.4.0"],
  ["cri-o://1.31.0", "1.1.0"],
  ["cri-o://1.30.8", "1.0.0"],
  ["cri-o://1.24.6", "1.0.0"],
  ["cri-o://1.23.5", "0.4.0"],
  ["docker://27.3.1", "0.4.0"],
  ["containerd://Unknown", "1.0.0"],
  ["mock://3.1.0", "1.0.0"],
  ["constructor://1.0", "1.0.0"],
  ["", "1.0.0"],
  [undefined, "1.0.0"],
])("for %j it is at most %s", (runtime, version) => {
  expect(newestFor(runtime)).toBe(version);
});
