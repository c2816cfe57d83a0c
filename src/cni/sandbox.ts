// The sandbox's namespace, checked before anything is done in it.
import { Namespace, NamespaceError } from "../datapath/netns.ts";
import { CniError, Code } from "./error.ts";
import type { Request } from "./request.ts";

/**
 * Opens the sandbox. Throws a NamespaceError when CNI_NETNS leads to none, and a CniError 8 when it is the
 * namespace slash32 itself runs in: wiring that would take the host's own interfaces for a pod's.
 */
export function openSandbox({ netns, allowOwnNetns }: Request, host: Namespace): Namespace {
  const sandbox = Namespace.open(netns);
  if (sandbox.identity === host.identity && !allowOwnNetns) {
    sandbox[Symbol.dispose]();
    throw ownNamespace(netns);
  }
  return sandbox;
}

/** For DEL, which does not need the sandbox: one that is gone, or was never there, is fine. */
export function refuseOwnNamespace(request: Request, host: Namespace): void {
  if (request.netns === "") return;
  try {
    openSandbox(request, host)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof NamespaceError)) throw error;
  }
}

function ownNamespace(netns: string): CniError {
  const message = `Cannot use CNI_NETNS=${JSON.stringify(netns)}: it is the host's own network namespace`;
  return new CniError(Code.invalidNetns, "OwnNamespace", message);
}
