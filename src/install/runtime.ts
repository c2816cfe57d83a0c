// How much of CNI a node's container runtime speaks: what it was built with decides, and no runtime tells it. A result in
// a version that it does not know fails every pod ("unsupported CNI result version").
import type { CniVersion } from "../cni/version.ts";

/** libcni of 1.0 and 1.1, which is what runtimes have that nobody knows. */
const USUAL: CniVersion = "1.0.0";
const OLDEST: CniVersion = "0.4.0";

/**
 * Since which release (major, minor) of a runtime, newest first; before the last of them it is `OLDEST`. By their go.mod:
 * containernetworking/cni 1.2 brings CNI 1.1.0, and 1.0 brings 1.0.0.
 */
const SINCE: Readonly<Record<string, readonly (readonly [number, number, CniVersion])[]>> = {
  containerd: [
    [2, 0, "1.1.0"],
    [1, 6, "1.0.0"],
  ],
  "cri-o": [
    [1, 31, "1.1.0"],
    [1, 24, "1.0.0"],
  ],
  docker: [],
};

/**
 * The newest version that a list may have for the runtime of these words, `status.nodeInfo.containerRuntimeVersion` of a
 * Node object ("containerd://1.7.13-k3s1"); without them, and of a runtime that is not known here, a usual one.
 */
export function newestFor(runtime: string | undefined): CniVersion {
  const [, name = "", major, minor] = /^([^:]+):\/\/v?(\d+)\.(\d+)/.exec(runtime ?? "") ?? [];
  if (!Object.hasOwn(SINCE, name)) return USUAL;
  const isReached = (since: number, sinceMinor: number) =>
    Number(major) > since || (Number(major) === since && Number(minor) >= sinceMinor);
  return SINCE[name]?.find(([since, sinceMinor]) => isReached(since, sinceMinor))?.[2] ?? OLDEST;
}
