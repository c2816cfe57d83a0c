// The MTU of a sandbox follows the host's way out.
import { describe, expect, test } from "vitest";
import { egressMtu } from "../../src/datapath/egress.ts";
import { Namespace } from "../../src/datapath/netns.ts";
import { hasIpv6 } from "../helpers/kernel.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";

describe("egressMtu", () => {
  test("is that of the interface which the default route leaves by", () => {
    using host = new TestHost({ mtu: 1450 });
    expect(mtuOf(host)).toBe(1450);
  });

  test("follows the default route to another interface, not the first or the largest", () => {
    using host = new TestHost({ mtu: 9000 });
    host.ipBatch(
      "link add uplink1 mtu 1400 type veth peer name other",
      "link set uplink1 up",
      "link set other up",
      "address add 203.0.113.1/24 dev uplink1",
      "route replace default via 203.0.113.254",
    );
    expect(mtuOf(host)).toBe(1400);
  });

  test.runIf(hasIpv6)("is found on a host with IPv6 alone", () => {
    using host = new TestHost({ mtu: 1420 });
    host.ip("route", "delete", "default");
    expect(mtuOf(host)).toBe(1420);
  });

  test("is found on a host without IPv6", () => {
    using host = new TestHost({ mtu: 1430, ipv6: false });
    expect(mtuOf(host)).toBe(1430);
  });

  test.each(["blackhole", "unreachable", "prohibit"])(
    "is not known where the default route is %s",
    (type) => {
      using host = new TestHost({ defaultRoute: false });
      host.ip("route", "add", type, "default");
      if (hasIpv6) host.ip("-6", "route", "add", type, "default");
      expect(mtuOf(host)).toBeUndefined();
    },
  );

  test("is not known without a default route, nor in an empty namespace", () => {
    using host = new TestHost({ defaultRoute: false });
    using empty = new TestNetns();
    expect(mtuOf(host)).toBeUndefined();
    expect(mtuOf(empty)).toBeUndefined();
  });
});

function mtuOf(netns: TestNetns): number | undefined {
  using namespace = Namespace.open(netns.path);
  return egressMtu(namespace);
}
