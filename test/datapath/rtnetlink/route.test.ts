import { expect, test } from "vitest";
import {
  type Address,
  everywhere,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../../src/address.ts";
import {
  addRoute,
  decodeRoute,
  listRoutes,
  lookupForward,
  lookupRoute,
  matchRoute,
  type NewRoute,
  type Route,
} from "../../../src/datapath/rtnetlink/route.ts";
import {
  anatomy,
  bytesOf,
  capturedReply,
  capturedRequest,
  repliedMessages,
  sent,
} from "../../helpers/iproute2.ts";

const RTMSG = 12;
const METRICS = { 8: {} };
const ETH0 = { name: "eth0", index: 2 };
const CALI = { name: "cali0123456789a", index: 3 };
const prefix = (text: string) => parsePrefix(text) as Prefix;
const address = (text: string) => parseAddress(text) as Address;
const GATEWAY = address("169.254.1.1");

test.each<[string, NewRoute]>([
  ["route add default", { dst: everywhere(4), via: GATEWAY, dev: ETH0 }],
  ["route replace pod", { dst: prefix("10.20.1.2/32"), dev: CALI, protocol: 32, replace: true }],
  ["route add pod", { dst: prefix("10.20.1.2/32"), dev: CALI, protocol: 32 }],
  ["route add pod v6", { dst: prefix("fd00:20:1::2/128"), dev: CALI, protocol: 32 }],
])("addRoute() is %j byte for byte and word for word", (name, route) => {
  const { command, message } = capturedRequest(name);
  expect(sent(addRoute(route))).toBe(message);
  expect(addRoute(route).command).toBe(command);
});

// ip(8) takes an address for its /32; ours is always written out.
test.each<[string, NewRoute]>([
  ["route add link", { dst: prefix("169.254.1.1/32"), dev: ETH0 }],
  ["route append again", { dst: prefix("169.254.1.1/32"), dev: ETH0, append: true }],
])("addRoute() is %j byte for byte, its command with the length", (name, route) => {
  const { command, message } = capturedRequest(name);
  expect(sent(addRoute(route))).toBe(message);
  expect(addRoute(route).command).toBe(command.replace("169.254.1.1", "169.254.1.1/32"));
});

test("addRoute() with metric and MTU has iproute2's attributes; RTA_PRIORITY comes after RTA_OIF", () => {
  const { command, message } = capturedRequest("route add with metrics");
  const ours = addRoute({ dst: prefix("10.96.0.0/12"), via: GATEWAY, dev: ETH0, mtu: 1400, metric: 100 });
  expect(anatomy(sent(ours), RTMSG, METRICS)).toEqual(anatomy(message, RTMSG, METRICS));
  expect(sent(ours)).toHaveLength(message.length);
  expect(ours.command.split(" ").sort()).toEqual(command.split(" ").sort());
});

test("addRoute() of the IPv6 default leaves out RTA_DST, which iproute2 sends as ::", () => {
  const { command, message } = capturedRequest("route add default v6");
  const ours = addRoute({ dst: everywhere(6), via: address("fe80::ecee:eeff:feee:eeee"), dev: ETH0 });
  const theirs = anatomy(message, RTMSG);
  const { 1: dst, ...attributes } = theirs.attributes;
  expect(dst).toBe("00".repeat(16));
  expect(anatomy(sent(ours), RTMSG)).toEqual({ ...theirs, attributes });
  expect(ours.command).toBe(command);
});

/** Ours are acknowledged. */
function asked(message: string) {
  const question = anatomy(message, RTMSG);
  return { ...question, flags: question.flags | 4 };
}

test.each([
  ["route get fibmatch", "10.20.1.2"],
  ["route get fibmatch v6", "fd00:20:1::2"],
])("matchRoute() asks %j, acknowledged", (name, text) => {
  const { command, message } = capturedRequest(name);
  expect(anatomy(sent(matchRoute(address(text))), RTMSG)).toEqual(asked(message));
  expect(matchRoute(address(text)).command).toBe(command);
});

test("lookupForward() asks the gateway question, acknowledged", () => {
  const { command, message } = capturedRequest("gateway question, answered");
  const ours = lookupForward(GATEWAY, address("10.20.1.2"), CALI);
  expect(anatomy(sent(ours), RTMSG)).toEqual(asked(message));
  expect(ours.command).toBe(command);
});

test("lookupRoute() asks as matchRoute(), but for the decision instead of the entry", () => {
  const [question, match] = [lookupRoute(GATEWAY), matchRoute(GATEWAY)].map((request) =>
    anatomy(sent(request), RTMSG),
  );
  expect(match?.header).toBe("0220000000000000" + "00300000");
  expect(question).toEqual({ ...match, header: "0220000000000000" + "00100000" });
  expect(lookupRoute(GATEWAY).command).toBe("ip route get 169.254.1.1");
});

test("listRoutes() is iproute2's dump without RTA_TABLE: it is for all tables, and its command says so", () => {
  for (const [family, name] of [
    [4, "route dump v4"],
    [6, "route dump v6"],
  ] as const) {
    const theirs = anatomy(capturedRequest(name).message, RTMSG);
    expect(theirs.attributes).toEqual({ 15: "fe000000" });
    const ours = anatomy(sent({ ...listRoutes(family), flags: 0x300 }), RTMSG);
    expect(ours).toEqual({ ...theirs, flags: theirs.flags | 4, attributes: {} });
  }
  expect(listRoutes(4).command).toBe("ip route show table all");
  expect(listRoutes(6).command).toBe("ip -6 route show table all");
});

type IpRoute = {
  type: string;
  dst: string;
  gateway?: string;
  dev: string;
  protocol?: string;
  scope?: string;
  table?: string;
  metric?: number;
  metrics?: { mtu: number }[];
};
const NUMBERS: Record<string, number> = {
  unicast: 1,
  kernel: 2,
  boot: 3,
  global: 0,
  link: 253,
  main: 254,
  "32": 32,
};

/** A decoded route in the words of `ip -json`; `devices` are the names by number. */
function inWords({ dst, via, oif = 0, metric, mtu, ...rest }: Route, devices: Record<number, string>) {
  const isDefault = dst.length === 0;
  const isHost = dst.length === (dst.address.family === 4 ? 32 : 128);
  const word = (number: number, among: readonly string[]) => among.find((name) => NUMBERS[name] === number);
  return {
    type: word(rest.type, ["unicast"]),
    dst: isDefault ? "default" : isHost ? formatAddress(dst.address) : formatPrefix(dst),
    gateway: via && formatAddress(via),
    dev: devices[oif],
    protocol: word(rest.protocol, ["kernel", "boot", "32"]),
    scope: word(rest.scope, ["global", "link"]),
    metric,
    mtu,
  };
}

test.each([
  ["route dump v4", { 2: "eth0" }],
  ["route dump v6", { 2: "eth0" }],
  ["route get fibmatch", { 3: "cali0123456789a" }],
  ["route get fibmatch v6", { 3: "cali0123456789a" }],
])("decodeRoute() reads in %j what `ip -json` reads", (name, devices) => {
  const seen = capturedReply(name).json as unknown as IpRoute[];
  const ours = repliedMessages(name)
    .map(decodeRoute)
    .map((route) => inWords(route, devices));
  const told = seen.map(({ type, dst, gateway, dev, protocol, scope, metric, metrics }) => {
    return { type, dst, gateway, dev, protocol, scope, metric, mtu: metrics?.[0]?.mtu };
  });
  // Some of the kernel's routes ip leaves out of the main table's listing: those are other tables'.
  const main = ours.filter((_, at) => repliedMessages(name).map(decodeRoute)[at]?.table === 254);
  expect(main).toEqual(told);
  expect(told.length).toBeGreaterThan(0);
});

test("decodeRoute() reads the protocol that `ip route show proto 32` filters by, and the table", () => {
  const [route] = repliedMessages("route dump by protocol").map(decodeRoute);
  expect(route).toMatchObject({ protocol: 32, table: 254, oif: 3, scope: 253 });
  expect(formatPrefix(route?.dst as Prefix)).toBe("10.20.1.2/32");
});

test("decodeRoute() reads the answer to the gateway question: by which way out", () => {
  const [seen] = capturedReply("gateway question, answered").json as unknown as IpRoute[];
  const [route] = repliedMessages("gateway question, answered").map(decodeRoute);
  expect(route).toMatchObject({ type: 1, oif: 2 });
  expect(formatAddress(route?.via as Address)).toBe(seen?.gateway);
  expect(formatAddress(route?.dst.address as Address)).toBe(seen?.dst);
});

const message = (hex: string) => ({ type: 24, flags: 0, sequence: 0, body: bytesOf(hex) });

test("decodeRoute() takes RTA_TABLE for the table where the header's byte is too small for it", () => {
  expect(decodeRoute(message("02000000fc030001" + "00000000" + "08000f0010270000")).table).toBe(10000);
});

test("decodeRoute() reads a blackhole: no way out", () => {
  expect(decodeRoute(message("02200000fe030006" + "00000000" + "08000100a9fe0101"))).toMatchObject({
    type: 6,
    oif: undefined,
  });
});

/** As kernel 6.18 told them of `via inet6 fe80::1 dev v1`, and of two next hops. */
const VIA6 = "160012000a00fe8000000000000000000000000000010000";

test("decodeRoute() reads an IPv4 route's next hop of IPv6 (RTA_VIA)", () => {
  const hex = `02180000fe0300010000000008000f00fe00000008000100cb007100${VIA6}0800040007000000`;
  expect(decodeRoute(message(hex))).toMatchObject({ via: address("fe80::1"), oif: 7, hops: [] });
});

test("decodeRoute() reads several next hops (RTA_MULTIPATH)", () => {
  const hops = `34000900100000000700000008000500c00002fd2000040007000000${VIA6}`;
  const hex = `02180000fe0300010000000008000f00fe00000008000100c6336400${hops}`;
  expect(decodeRoute(message(hex))).toMatchObject({
    via: undefined,
    oif: undefined,
    hops: [
      { via: address("192.0.2.253"), oif: 7 },
      { via: address("fe80::1"), oif: 7 },
    ],
  });
});

test.each([
  ["a next hop of no length", "02180000fe0300010000000004000f00" + "0c00090000000000" + "07000000"],
  ["a header cut off", "02200000fe"],
  ["three bytes of destination", "02200000fe03000100000000" + "070001000a1401"],
  ["a short number", "02200000fe03000100000000" + "06000400020000"],
  ["an attribute that lies about its length", "02200000fe03000100000000" + "ff0001000a140102"],
])("decodeRoute() throws a RangeError for %s", (_, hex) => {
  expect(() => decodeRoute(message(hex))).toThrow(RangeError);
});
