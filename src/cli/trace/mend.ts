// The commands that mend what a trace finds: the wiring's own, so that afterwards all is as ADD made it. Each is one
// line for a root shell on the host, and does no harm where the thing is there already.
import { type Address, everywhere, hostPrefix } from "../../address.ts";
import { GATEWAY, HOST_MAC, ROUTE_PROTOCOL } from "../../datapath/endpoint.ts";
import { addAddress } from "../../datapath/rtnetlink/address.ts";
import { type Device, setLinkUp } from "../../datapath/rtnetlink/link.ts";
import { replaceNeighbour } from "../../datapath/rtnetlink/neighbour.ts";
import { addRoute, RT_TABLE_MAIN } from "../../datapath/rtnetlink/route.ts";
import { onSide } from "../../datapath/step.ts";
import { word } from "../../shell.ts";
import type { Inside, Station } from "./station.ts";

/** Where a command would be of no use: what only the runtime can make again. */
export const WIRE_ANEW = "delete the pod: its runtime wires a new one";

/** `sysctl -w`; the key has slashes, as interface names may contain dots. */
export function setting(key: string, value: number): string {
  return `sysctl -w ${word(`${key}=${value}`)}`;
}

/** A command typed on the host, carried out in the sandbox. */
export function inSandbox({ path }: Inside, ...commands: readonly string[]): string {
  return onSide("sandbox", path, commands.join(" && "));
}

/** The pod's way out: both routes, as the second leads through the first. */
export function wayOut({ end }: Inside, { family }: Address): string[] {
  const dev = quoted(end);
  const gateway = GATEWAY[family];
  const link = family === 4 ? [addRoute({ dst: hostPrefix(gateway), dev })] : [];
  return [...link, addRoute({ dst: everywhere(family), via: gateway, dev })].map(asReplace);
}

/** The address, and the way out: IPv4 drops an interface's routes with its last address. */
export function ownAddress({ end }: Inside, address: Address): string[] {
  return [addAddress(hostPrefix(address), quoted(end)).command.replace("address add", "address replace")];
}

/** A sandbox end that went down has lost its routes and neighbours, and its IPv6 addresses. */
export function sandboxEndUp({ inside, pod: { addresses } }: Station): string {
  if (inside === undefined) return WIRE_ANEW;
  const rest = addresses.flatMap((address) => [...ownAddress(inside, address), ...wayOut(inside, address)]);
  return inSandbox(inside, setLinkUp(quoted(inside.end)).command, ...new Set(rest));
}

/** The gateway's MAC, pinned inside the sandbox: right on any host. */
export function pinGateway(inside: Inside, { family }: Address): string {
  return inSandbox(inside, replaceNeighbour(GATEWAY[family], HOST_MAC, quoted(inside.end)).command);
}

/** A host end that went down has lost its routes and neighbours. */
export function hostEndUp(station: Station, hostEnd: Device): string {
  const rest = station.pod.addresses.flatMap((address) => [
    routeToPod(address, hostEnd),
    ...neighbourOnHost(station, address, hostEnd),
  ]);
  return [setLinkUp(quoted(hostEnd)).command, ...rest].join(" && ");
}

/** In place of whatever leads there now. */
export function routeToPod(address: Address, hostEnd: Device, table = RT_TABLE_MAIN): string {
  const route = addRoute({ dst: hostPrefix(address), dev: quoted(hostEnd), protocol: ROUTE_PROTOCOL });
  return asReplace(route) + (table === RT_TABLE_MAIN ? "" : ` table ${table}`);
}

/** The pod's MAC, pinned on its host end; nothing where the sandbox end cannot be seen. */
export function neighbourOnHost({ inside }: Station, address: Address, hostEnd: Device): string[] {
  return inside ? [replaceNeighbour(address, inside.end.mac, quoted(hostEnd)).command] : [];
}

/** The interface under its name as one word of a shell. */
function quoted({ name, index }: Device): Device {
  return { name: word(name), index };
}

function asReplace({ command }: { readonly command: string }): string {
  return command.replace("route add", "route replace");
}
