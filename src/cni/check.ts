// CHECK: compares an attachment with what ADD made and with the chain's final result; changes nothing.
import { formatAddress, formatPrefix, sameAddress } from "../address.ts";
import { type Attachment, attachmentKey } from "../attachment.ts";
import type { Endpoint } from "../datapath/endpoint.ts";
import { findLink } from "../datapath/host.ts";
import { Namespace } from "../datapath/netns.ts";
import type { Step } from "../datapath/step.ts";
import { type Difference, verify } from "../datapath/verify.ts";
import { wiring } from "../datapath/wiring.ts";
import type { Holding } from "../ipam/lease.ts";
import { Store } from "../ipam/store.ts";
import { endpointOf, mtuOf, stateDirOf } from "./endpoint.ts";
import { CniError, Code } from "./error.ts";
import { type Netconf, validDocument } from "./netconf.ts";
import { attachmentOf, type Request } from "./request.ts";
import { narrowed, type Result, type ResultInterface, readResult } from "./result.ts";
import { openSandbox } from "./sandbox.ts";
import { addressSource } from "./source.ts";

type Finding = Omit<Difference, "step">;

/** Throws one CniError that tells all differences: what is, what should be, and the command that restores it. */
export function check(request: Request, netconf: Netconf): void {
  const document = validDocument(netconf);
  const attachment = attachmentOf(request, netconf.name);
  const result = readFinal(document.prevResult, netconf);
  const stateDir = stateDirOf(document);
  using host = Namespace.current();
  using sandbox = openSandbox(request, host);

  const source = addressSource(request, netconf, document, stateDir);
  const holding = findHolding(stateDir, attachment);
  const own = result.interfaces.findIndex(
    ({ name, sandbox }) => name === request.ifName && sandbox === request.netns,
  );
  const told = narrowed(result.ips.filter(({ interface: index }) => index === undefined || index === own));
  const acquired = holding && source.recall(holding);
  const { addresses, routes } = acquired ?? { addresses: told.map(({ address }) => address), routes: [] };
  const mtu = holding?.mtu ?? mtuOf(document, host);
  const endpoint = endpointOf(request, document, attachment, { addresses, routes, dns: {} }, mtu);
  // Before 1.1.0 no result tells an MTU: what a later plugin (tuning) made of the sandbox end's has to be taken as it is.
  const end = { mtu: findLink(sandbox, request.ifName)?.mtu, ...result.interfaces[own] };
  const steps = asTold(wiring(endpoint), endpoint, result, end);

  const strangers = addresses.filter(
    (address) => !told.some((prefix) => sameAddress(prefix.address, address)),
  );
  report(attachment, [
    ...(acquired ? [] : [unleased(attachment, endpoint)]),
    ...(own < 0 ? [untold(`interface ${request.ifName} of ${request.netns}`)] : []),
    ...strangers.map((address) => untold(`address ${formatAddress(address)}`)),
    ...verify(steps, { host, sandbox }),
  ]);
  source.check();
}

/** CHECK is for the final result of the whole chain; without it there is nothing to compare with. */
function readFinal(prevResult: unknown, { cniVersion }: Netconf): Result {
  try {
    return readResult(prevResult, cniVersion);
  } catch (error) {
    const message = `Cannot CHECK without a usable prevResult: ${(error as Error).message}`;
    throw new CniError(Code.invalidConfig, "InvalidPrevResult", message, undefined, { cause: error });
  }
}

function findHolding(stateDir: string, attachment: Attachment): Holding | undefined {
  if (!Store.exists(stateDir, attachment.network)) return undefined;
  using store = Store.read(stateDir, attachment.network);
  return store.find(attachment);
}

/**
 * The wiring as the chain left it: a later plugin (tuning) may have changed the sandbox end's MAC and MTU, and
 * another network's default route may stand in for ours. What ADD claimed must be there, nothing may stand in.
 */
function asTold(
  steps: readonly Step[],
  endpoint: Endpoint,
  result: Result,
  end: Partial<Omit<ResultInterface, "mtu">> & { readonly mtu: number | undefined },
): Step[] {
  const mac = end.mac?.toLowerCase() ?? endpoint.sandboxMac;
  const isClaimed = ({ dst, via }: Step & { kind: "route" }) =>
    via === undefined ||
    result.routes.some(({ dst: told, gw }) => told === formatPrefix(dst) && gw === formatAddress(via));
  return steps.flatMap((step): Step[] => {
    if (step.kind === "veth") {
      return [{ ...step, sandboxEnd: { ...step.sandboxEnd, mac, mtu: end.mtu ?? step.sandboxEnd.mtu } }];
    }
    if (step.kind === "neighbour" && step.on === "host") return [{ ...step, mac }];
    if (step.kind === "route") return isClaimed(step) ? [{ ...step, ifAbsent: false }] : [];
    return [step];
  });
}

function unleased(attachment: Attachment, { addresses }: Endpoint): Finding {
  return {
    subject: `lease of ${addresses.map(formatAddress).join(" and ") || "an address"}`,
    is: "missing",
    should: `held by ${attachmentKey(attachment)}`,
    restore: "delete the pod: without a lease its address may be given to another",
  };
}

function untold(subject: string): Finding {
  return { subject: `${subject} in prevResult`, is: "missing", should: "present", restore: "delete the pod" };
}

function report(attachment: Attachment, findings: readonly Finding[]): void {
  const [first] = findings;
  if (first === undefined) return;
  const words = ({ subject, is, should, restore }: Finding) =>
    `${subject} is ${is}, should be ${should}; ${restore}`;
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more, see details)` : "";
  throw new CniError(
    Code.notAsItShouldBe,
    "NotAsItShouldBe",
    `Cannot confirm ${attachmentKey(attachment)}: ${words(first)}${more}`,
    findings.map(words).join("\n"),
  );
}
