// The probe's packet, byte for byte, and what is recognised of captured ones.
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/address.ts";
import type { Flow } from "../../src/cli/trace/flow.ts";
import { probeBytes, recognise } from "../../src/cli/trace/probe/packet.ts";

const MARK = { id: 0xbeef, sequence: 0x01020304 };
const FOUR: Flow = {
  from: address("10.20.1.2"),
  to: address("10.20.1.3"),
  protocol: "icmp",
  port: undefined,
  isReply: false,
};
const SIX: Flow = { ...FOUR, from: address("fd00:20::2"), to: address("fd00:20::3") };
const ETH_P_IP = 0x0800;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;

describe("the packet", () => {
  const flows: [string, Flow, number][] = [
    ["ICMP", FOUR, 1],
    ["TCP", { ...FOUR, protocol: "tcp", port: 80 }, 6],
    ["UDP", { ...FOUR, protocol: "udp", port: 53 }, 17],
    ["ICMPv6", SIX, 58],
    ["TCP over IPv6", { ...SIX, protocol: "tcp", port: 80 }, 6],
    ["UDP over IPv6", { ...SIX, protocol: "udp", port: 53 }, 17],
  ];

  test.each(flows)("%s: its sum is right, and it is recognised as a request", (_, flow, protocol) => {
    const bytes = probeBytes(flow, MARK);
    const pseudo = protocol === 1 ? [] : [...raw(flow.from), ...raw(flow.to), 0, protocol, 0, bytes.length];
    expect(sum([...pseudo, ...bytes])).toBe(0xffff);
    const packet = inIp(flow, protocol, bytes);
    const ethertype = flow.from.family === 4 ? ETH_P_IP : ETH_P_IPV6;
    expect(recognise(packet, ethertype, flow, MARK)).toMatchObject({ kind: "request", way: "there" });
  });

  test("is an echo request with its identifier, in 29 bytes", () => {
    expect(probeBytes(FOUR, MARK).toHex()).toMatch(
      /^0800.{4}beef0001736c6173683332207472616365202d2d70726f6265$/,
    );
  });

  test("is a SYN without options", () => {
    const bytes = probeBytes({ ...FOUR, protocol: "tcp", port: 80 }, MARK).toHex();
    expect(bytes).toMatch(/^beef005001020304000000005002faf0.{4}0000$/);
  });
});

describe("what comes back", () => {
  test("an echo reply", () => {
    const reply = Uint8Array.from([0, 0, 0, 0, 0xbe, 0xef, 0, 1]);
    expect(recognise(inIp(FOUR, 1, reply), ETH_P_IP, FOUR, MARK)).toEqual({
      kind: "reply",
      way: "back",
      words: "echo reply",
    });
  });

  test("another's echo reply is none of ours", () => {
    const reply = Uint8Array.from([0, 0, 0, 0, 0xbe, 0xee, 0, 1]);
    expect(recognise(inIp(FOUR, 1, reply), ETH_P_IP, FOUR, MARK)).toBeUndefined();
  });

  test("SYN-ACK and RST, by the number they acknowledge", () => {
    const flow: Flow = { ...FOUR, protocol: "tcp", port: 80 };
    const answer = (flags: number, acknowledged: number) => {
      const bytes = new Uint8Array(20);
      const view = new DataView(bytes.buffer);
      view.setUint16(0, 80);
      view.setUint16(2, MARK.id);
      view.setUint32(8, acknowledged);
      view.setUint8(13, flags);
      return recognise(inIp(flow, 6, bytes), ETH_P_IP, flow, MARK);
    };
    expect(answer(0x12, MARK.sequence + 1)).toMatchObject({ kind: "reply", words: "SYN-ACK" });
    expect(answer(0x14, MARK.sequence + 1)).toMatchObject({ kind: "reply", words: "RST" });
    expect(answer(0x12, MARK.sequence + 2)).toBeUndefined();
  });

  test.each([
    [3, 1, "host unreachable"],
    [3, 13, "prohibited by a filter"],
    [11, 0, "time exceeded"],
  ])("an error %d/%d that quotes the probe: %s", (type, code, words) => {
    const error = Uint8Array.from([type, code, 0, 0, 0, 0, 0, 0, ...inIp(FOUR, 1, probeBytes(FOUR, MARK))]);
    const router = { ...FOUR, from: address("192.0.2.254"), to: FOUR.from };
    expect(recognise(inIp(router, 1, error), ETH_P_IP, FOUR, MARK)).toEqual({
      kind: "error",
      way: "back",
      words: `"${words}" from 192.0.2.254`,
    });
  });

  test("questions for the gateway, and their answers", () => {
    const arp = (operation: number, sender: string, target: string) =>
      Uint8Array.from([
        ...[0, 1, 8, 0, 6, 4, 0, operation],
        ...[0xee, 0xee, 0xee, 0xee, 0xee, 0xee, ...raw(address(sender))],
        ...[0, 0, 0, 0, 0, 0, ...raw(address(target))],
      ]);
    const seen = (bytes: Uint8Array) => recognise(bytes, ETH_P_ARP, FOUR, MARK);
    expect(seen(arp(1, "10.20.1.2", "169.254.1.1"))).toMatchObject({
      way: "there",
      words: "who has 169.254.1.1?",
    });
    expect(seen(arp(2, "169.254.1.1", "10.20.1.2"))).toMatchObject({
      way: "there",
      words: "169.254.1.1 is at ee:ee:ee:ee:ee:ee",
    });
    expect(seen(arp(1, "10.20.1.3", "169.254.1.1"))).toMatchObject({ way: "back" });
    expect(seen(arp(1, "10.20.1.77", "169.254.1.1"))).toBeUndefined();
  });

  test("whatever is cut short, or is something else, is none of ours", () => {
    const whole = inIp(FOUR, 1, probeBytes(FOUR, MARK));
    for (let length = 0; length < 26; length++) {
      expect(recognise(whole.subarray(0, length), ETH_P_IP, FOUR, MARK)).toBeUndefined();
      expect(recognise(whole.subarray(0, length), ETH_P_IPV6, SIX, MARK)).toBeUndefined();
    }
    expect(recognise(whole, 0x88cc, FOUR, MARK)).toBeUndefined();
  });
});

/** Without what nobody looks at. */
function inIp({ from, to }: Flow, protocol: number, payload: Uint8Array): Uint8Array {
  const header =
    from.family === 4
      ? [0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, ...raw(from), ...raw(to)]
      : [0x60, 0, 0, 0, 0, payload.length, protocol, 64, ...raw(from), ...raw(to)];
  return Uint8Array.from([...header, ...payload]);
}

function raw({ family, value }: Flow["from"]): number[] {
  const hex = value.toString(16).padStart(family === 4 ? 8 : 32, "0");
  return [...Uint8Array.fromHex(hex)];
}

/** RFC 1071: over a packet that carries its sum it is all ones. */
function sum(bytes: number[]): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000);
  return total;
}

function address(text: string) {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`Cannot read ${text}`);
  return parsed;
}
