// What slash32 could leave on a node.
import type { Node } from "./node.ts";
import type { Missing } from "./timeline.ts";

/** What is on a node: links, routes, and files where slash32 has some. */
export type Inventory = readonly string[];

const FILES = ["/opt/cni", "/etc/cni", "/run/slash32", "/var/log/slash32*", "/run/netns/*"];

export async function takeInventory(node: Node): Promise<Inventory> {
  const links = node.ip("link") as { readonly ifname: string }[];
  const routes = node.ip("route", "show", "proto", "32") as { readonly dst: string }[];
  const files = await node.run(
    "bash",
    "-c",
    `shopt -s nullglob; find ${FILES.join(" ")} 2>/dev/null || true`,
  );
  return [
    ...links.map(({ ifname }) => `link ${ifname}`),
    ...routes.map(({ dst }) => `route ${dst}`),
    ...files.split("\n").filter((file) => file !== ""),
  ].sort();
}

/** What is left that was not there before, and what is gone that was; undefined when nothing is. */
export function difference(now: Inventory, before: Inventory): Missing {
  const more = now.filter((item) => !before.includes(item));
  const fewer = before.filter((item) => !now.includes(item));
  if (more.length + fewer.length === 0) return undefined;
  return [...more.map((item) => `${item} is left`), ...fewer.map((item) => `${item} is gone`)].join(", ");
}
