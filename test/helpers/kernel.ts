/** What the kernel that the tests run on has, for tests that cannot do without. */

import { existsSync } from "node:fs";

/** Not with ipv6.disable=1 on its command line: it knows neither addresses nor settings of IPv6 then. */
export const hasIpv6 = existsSync("/proc/sys/net/ipv6");

/** Those of some addresses, subnets, settings, or commands and lines about them, that mean something to this kernel. */
export function usable<T extends string>(texts: readonly T[]): T[] {
  return texts.filter((text) => hasIpv6 || !/ipv6|::|-6 /i.test(text));
}
