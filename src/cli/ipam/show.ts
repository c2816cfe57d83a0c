// slash32 ipam show: who holds what, and how full the ranges are.
import { formatAddress } from "../../address.ts";
import { attachmentKey } from "../../attachment.ts";
import { listDirectory } from "../../directories.ts";
import { findStatus } from "../../files.ts";
import type { Holding } from "../../ipam/lease.ts";
import { isLeasable, leasableCount, rangeName } from "../../ipam/range.ts";
import { join } from "../../paths.ts";
import { Exit, type Terminal } from "../command.ts";
import { addressesOf } from "../node/addresses.ts";
import { type Paint, painter, table } from "../paint.ts";
import type { Given } from "./given.ts";
import type { Scene } from "./scene.ts";
import { type Survey, survey } from "./survey.ts";

interface Shown {
  readonly attachment: string;
  readonly addresses: readonly string[];
  readonly pod: string | undefined;
  readonly hostEnd: string;
  /** "ok", "busy", or the kinds of what is wrong. */
  readonly state: string;
}

interface Fill {
  readonly range: string;
  readonly leased: number;
  /** As text: an IPv6 range has more than a number can count. */
  readonly leasable: string;
}

export function show({ scene, json }: Given, { out, colours }: Terminal): number {
  const seen = survey(scene);
  const attachments = seen.holdings.map((holding) => shown(holding, seen));
  const ranges = fills(seen.holdings, scene);
  const aside = setAside(scene);
  if (json) out(`${JSON.stringify({ attachments, ranges, setAside: aside }, undefined, 2)}\n`);
  else out(`${page(attachments, ranges, aside, seen, painter(colours)).join("\n")}\n`);
  return seen.findings.length === 0 ? Exit.ok : Exit.found;
}

function shown(holding: Holding, { findings, busy }: Survey): Shown {
  const key = attachmentKey(holding.attachment);
  const kinds = findings.filter(({ attachment }) => attachment === key).map(({ kind }) => kind);
  const state = busy.includes(key) ? "busy" : [...new Set(kinds)].join(", ") || "ok";
  const addresses = addressesOf(holding).map(formatAddress);
  return { attachment: key, addresses, pod: holding.pod, hostEnd: holding.hostEnd, state };
}

function page(
  attachments: readonly Shown[],
  ranges: readonly Fill[],
  aside: readonly string[],
  { findings }: Survey,
  paint: Paint,
): string[] {
  const head = ["ATTACHMENT", "ADDRESS", "POD", "HOST END", "STATE"].map((word) => paint("bold", word));
  const rows = attachments.map(({ attachment, addresses, pod = "-", hostEnd, state }) => {
    const colour = state === "ok" ? "green" : state === "busy" ? "yellow" : "red";
    return [attachment, addresses.join(" ") || "-", pod, hostEnd, paint(colour, state)];
  });
  const known = new Set(attachments.map(({ attachment }) => attachment));
  const others = findings.filter(
    ({ attachment }) => attachment === undefined || !known.has(attachment),
  ).length;
  return [
    ...(rows.length > 0 ? table([head, ...rows]) : ["no leases"]),
    ...table(ranges.map(({ range, leased, leasable }) => [range, `${leased} of ${leasable} leased`])),
    ...aside.map((path) => paint("dim", `set aside: ${path}`)),
    ...(others > 0 ? [`${others} more that no lease tells of; slash32 ipam check tells`] : []),
  ];
}

function fills(holdings: readonly Holding[], { scope: { sets } }: Scene): Fill[] {
  const held = holdings.flatMap(({ addresses }) => addresses);
  return sets.flat().map((range) => ({
    range: rangeName(range),
    leased: held.filter((address) => isLeasable(range, address)).length,
    leasable: String(leasableCount([range])),
  }));
}

/** Damaged databases that were moved aside, until somebody has looked at them. */
function setAside(scene: Scene): string[] {
  const { stateDir } = scene.scope;
  return scene.networks().flatMap((network) => {
    const directory = join(stateDir, network);
    const names = findStatus(directory) ? listDirectory(directory) : [];
    return names
      .filter((name) => /^leases\.db\.corrupt-\w+$/.test(name))
      .map((name) => join(directory, name));
  });
}
