// slash32 plan: what ADD would do, as the commands a person could type. Changes nothing.

import { type Address, parseAddress } from "../../address.ts";
import { CniError } from "../../cni/error.ts";
import { type Environment, type Request, readRequest } from "../../cni/request.ts";
import { type Command, Exit, readOptions, type Terminal, UsageError } from "../command.ts";
import { readConfiguration } from "../configuration.ts";
import { painter } from "../paint.ts";
import { planAdd } from "./intent.ts";
import { scriptOf, toldSteps } from "./script.ts";

const OPTIONS = {
  container: { type: "string" },
  netns: { type: "string" },
  ifname: { type: "string" },
  args: { type: "string" },
  address: { type: "string", multiple: true },
  json: { type: "boolean" },
} as const;

export const plan: Command = {
  help: `slash32 plan [options] < configuration

Prints what ADD would do as a shell script, and changes nothing: nothing is leased, nothing is made. The script, pasted
into a root shell on the host, does it. The configuration is what a runtime sends, or a whole list (.conflist).

  --netns PATH      the sandbox; a name without slashes is one of ip netns (default: CNI_NETNS)
  --container ID    the container (default: CNI_CONTAINERID, else the last part of the sandbox's path)
  --ifname NAME     the interface in the sandbox (default: CNI_IFNAME, else eth0)
  --args K=V;K=V    what a runtime says beside (default: CNI_ARGS)
  --address ADDRESS where another IPAM plugin gives the addresses: what it would give; may be repeated
  --json            a list of {on, kind, why, command} with the values of each step

Examples:
  ip netns add demo
  slash32 plan --netns demo < /etc/cni/net.d/10-slash32.conflist
  slash32 plan --netns demo < netconf.json | sh
`,
  run(args, terminal) {
    const values = readOptions("plan", args, OPTIONS);
    const request = requestFrom(values, terminal.environment);
    const addresses = (values.address ?? []).map(addressFrom);
    const planned = planAdd(request, readConfiguration(terminal.input()), addresses);
    if (values.json) terminal.out(`${JSON.stringify(toldSteps(planned), undefined, 2)}\n`);
    else terminal.out(scriptOf(planned, painter(terminal.colours)));
    return Exit.ok;
  },
};

interface Values {
  readonly [name: string]: unknown;
  readonly container?: string | undefined;
  readonly netns?: string | undefined;
  readonly ifname?: string | undefined;
  readonly args?: string | undefined;
}

/** As a runtime would ask. Options win over the environment. */
function requestFrom(values: Values, environment: Terminal["environment"]): Request {
  const netns = sandboxPath(values.netns ?? environment.CNI_NETNS ?? "");
  const asked: Environment = {
    ...environment,
    CNI_COMMAND: "ADD",
    CNI_NETNS: netns,
    CNI_CONTAINERID: values.container ?? (environment.CNI_CONTAINERID || lastPart(netns)),
    CNI_IFNAME: values.ifname ?? (environment.CNI_IFNAME || "eth0"),
    CNI_ARGS: values.args ?? environment.CNI_ARGS,
  };
  try {
    return readRequest(asked);
  } catch (error) {
    throw error instanceof CniError ? new UsageError(error.message) : error;
  }
}

function sandboxPath(netns: string): string {
  if (netns === "") throw new UsageError("Cannot plan without a sandbox: give --netns PATH");
  return netns.includes("/") ? netns : `/run/netns/${netns}`;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function addressFrom(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new UsageError(`Cannot use --address ${text}: expected an address`);
  return address;
}
