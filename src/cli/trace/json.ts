// A trace for programs. Its keys are a promise.
import { formatAddress } from "../../address.ts";
import type { Walk } from "./walk.ts";

export function toJson({ from, to, flow, firstWrong, mtu, hops }: Walk): object {
  return {
    from: { name: from, address: formatAddress(flow.from) },
    to: { name: to, address: formatAddress(flow.to) },
    packet: { protocol: flow.protocol, ...(flow.port === undefined ? {} : { port: flow.port }) },
    verdict: firstWrong ? "wrong" : "ok",
    ...(firstWrong ? { firstWrong } : {}),
    ...(mtu === undefined ? {} : { mtu }),
    hops,
  };
}
