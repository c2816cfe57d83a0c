// A trace for programs. Its keys are a promise.
import { formatAddress } from "../../address.ts";
import type { Probe } from "./probe/probe.ts";
import { isFine, type Report } from "./report.ts";

export function toJson(report: Report): object {
  const { walked, probed } = report;
  const { from, to, flow, firstWrong, mtu, hops } = walked;
  return {
    from: { name: from, address: formatAddress(flow.from) },
    to: { name: to, address: formatAddress(flow.to) },
    packet: { protocol: flow.protocol, ...(flow.port === undefined ? {} : { port: flow.port }) },
    verdict: isFine(report) ? "ok" : "wrong",
    ...(firstWrong ? { firstWrong } : {}),
    ...(mtu === undefined ? {} : { mtu }),
    hops,
    ...(probed ? { probe: probeJson(probed) } : {}),
  };
}

function probeJson({ sightings, isAnswered, refusal }: Probe): object {
  return {
    isAnswered,
    ...(refusal === undefined ? {} : { refusal }),
    sightings: sightings.map(({ place, dev, direction, kind, words, isSeen, isExpected }) => {
      return { place, interface: dev, direction, kind, packet: words, isSeen, isExpected };
    }),
  };
}
