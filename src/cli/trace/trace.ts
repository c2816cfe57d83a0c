// `slash32 trace FROM TO[:port]`: why a packet arrives, or where it is lost.
import { parseAddress } from "../../address.ts";
import { DEFAULT_STATE_DIR } from "../../cni/netconf.ts";
import { findLink } from "../../datapath/host.ts";
import { Namespace } from "../../datapath/netns.ts";
import { writeFile } from "../../files.ts";
import { type Command, Exit, readArguments, type Terminal, UsageError } from "../command.ts";
import { painter } from "../paint.ts";
import { listPods } from "../pods.ts";
import type { Protocol } from "./flow.ts";
import { toJson } from "./json.ts";
import { findParty, type Party } from "./party.ts";
import { pictureOf } from "./picture.ts";
import { probe } from "./probe/probe.ts";
import { isFine, type Report } from "./report.ts";
import { drawSvg } from "./svg.ts";
import { drawText } from "./text.ts";
import { type Journey, prepare, walk } from "./walk.ts";

const HELP = `Usage: slash32 trace [options] FROM TO[:PORT[/udp]]

Follows a packet from FROM to TO and its answer back, from what the kernel says now, and draws what it meets.
Marks the first thing that is wrong, and prints the command that mends it. Changes nothing.

FROM is a pod of this host, or "host"; TO may be anybody. A pod is called by its address, by "namespace/name", by its
container ID or the beginning of one, or by its host end. With a port the packet is TCP (or UDP), else an ICMP echo.

Options:
  --probe            send one such packet from inside FROM, and show on which interfaces it was seen
  --svg FILE         draw the picture to a file that opens in a browser as well
  --json             print all that was found for programs
  --state-dir DIR    where the networks' stores are (default ${DEFAULT_STATE_DIR})

Exit status: 0 the path is fine, 1 something is wrong, 2 the question was not understood.

Examples:
  slash32 trace default/web-0 default/db-0:5432
  slash32 trace 10.20.1.2 198.51.100.1 --probe
  slash32 trace host 10.20.1.2
  slash32 trace default/web-0 10.20.1.3 --svg path.svg
`;

const OPTIONS = {
  probe: { type: "boolean" },
  json: { type: "boolean" },
  svg: { type: "string" },
  "state-dir": { type: "string" },
} as const;

export const trace: Command = {
  help: HELP,
  run(args, terminal) {
    const { values, positionals } = readArguments(args, OPTIONS);
    const [fromText, toText, ...rest] = positionals;
    if (fromText === undefined || toText === undefined || rest.length > 0) {
      throw new UsageError(`trace takes FROM and TO, got ${positionals.length} arguments`);
    }
    using undo = new DisposableStack();
    const host = undo.use(Namespace.current());
    const { pods, complaints } = listPods(values["state-dir"] ?? DEFAULT_STATE_DIR, host);
    for (const complaint of complaints) terminal.err(`slash32 trace: ${complaint}\n`);
    const target = readTarget(toText);
    const [from, to] = [findParty(fromText, pods, host), findParty(target.text, pods, host)];
    assertWay(from, to, fromText);
    const journey = prepare({ ...target, from, to }, host, undo);
    const report = values.probe ? withProbe(journey) : { walked: walk(journey) };
    show(report, values, terminal);
    return isFine(report) ? Exit.ok : Exit.found;
  },
};

/** "10.20.1.3:80", "[fd00::3]:53/udp", "default/web-0:80", or without a port. */
function readTarget(text: string): { text: string; protocol: Protocol; port: number | undefined } {
  const [, bracketed, plain, digits, protocol] =
    /^(?:\[(.+)\]|([^:]+)):(\d+)(?:\/(tcp|udp))?$/.exec(text) ?? [];
  if (digits === undefined || parseAddress(text)) return { text, protocol: "icmp", port: undefined };
  const port = Number(digits);
  if (port < 1 || port > 65535) throw new UsageError(`${digits} is no port`);
  return { text: bracketed ?? plain ?? "", protocol: protocol === "udp" ? "udp" : "tcp", port };
}

function assertWay(from: Party, to: Party, fromText: string): void {
  if (from.kind === "beyond") {
    throw new UsageError(`FROM is to be a pod of this host, or "host"; ${fromText} is neither`);
  }
  const isSame =
    (from.kind === "host" && to.kind === "host") ||
    (from.kind === "pod" && to.kind === "pod" && from.pod.hostEnd === to.pod.hostEnd);
  if (isSame) throw new UsageError("FROM and TO are the same: nothing leaves");
}

/** An answer from beyond the host says what cannot be seen from here: the walk is told of it. */
function withProbe(journey: Journey): Report {
  const { host, flow, ends } = journey;
  const walked = walk(journey);
  const probed = probe(flow, { host, ends, egress: walked.egress });
  const answeredBy = probed.answeredBy ?? (probed.isAnswered ? walked.egress : undefined);
  const dev = answeredBy === undefined ? undefined : findLink(host, answeredBy);
  return { walked: dev ? walk(journey, { dev }) : walked, probed };
}

interface Output {
  readonly json?: boolean | undefined;
  readonly svg?: string | undefined;
}

function show(report: Report, { json, svg }: Output, terminal: Terminal): void {
  const picture = pictureOf(report);
  if (svg !== undefined) writeFile(svg, drawSvg(picture));
  if (json) terminal.out(`${JSON.stringify(toJson(report), null, 2)}\n`);
  else terminal.out(drawText(picture, painter(terminal.colours)));
}
