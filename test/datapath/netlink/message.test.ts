import { expect, test } from "vitest";
import {
  decodeMessages,
  encodeMessage,
  type Message,
  readAcknowledgement,
} from "../../../src/datapath/netlink/message.ts";
import { bytesOf, capturedReply, hexOf } from "../../helpers/iproute2.ts";

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

test("encodeMessage() writes length, type, flags, sequence, port 0 and the body, padded", () => {
  const request = { command: "", type: 0x1234, flags: 0x600, body: Uint8Array.of(1, 2, 3, 4, 5) };
  // NLM_F_REQUEST and NLM_F_ACK are added; the padding is not counted.
  expect(hexOf(encodeMessage(request, 0x0a0b0c0d))).toBe(
    ["15000000", "3412", "0506", "0d0c0b0a", "00000000", "0102030405", "000000"].join(""),
  );
});

test("encodeMessage() writes a body of nothing", () => {
  const request = { command: "", type: 3, flags: 0, body: new Uint8Array(0) };
  expect(hexOf(encodeMessage(request, 1))).toBe("10000000" + "0300" + "0500" + "01000000" + "00000000");
});

function decoded(hex: string) {
  return decodeMessages(bytesOf(hex)).map(({ body, ...rest }) => ({ ...rest, body: hexOf(body) }));
}

test("decodeMessages() splits a datagram, leaving padding out", () => {
  const first = "15000000" + "3412" + "0506" + "0d0c0b0a" + "63000000" + "0102030405" + "000000";
  const second = "10000000" + "0300" + "0200" + "02000000" + "63000000";
  expect(decoded(first + second)).toEqual([
    { type: 0x1234, flags: 0x605, sequence: 0x0a0b0c0d, body: "0102030405" },
    { type: 3, flags: 2, sequence: 2, body: "" },
  ]);
  expect(decoded("")).toEqual([]);
});

test("decodeMessages() needs no padding after the last message", () => {
  expect(decoded("11000000" + "0300" + "0200" + "02000000" + "63000000" + "ff")).toMatchObject([
    { body: "ff" },
  ]);
});

const HEADER = "0300020001000000" + "00000000";

test.each([
  ["longer than what is left", `14000000${HEADER}`],
  ["longer than what is left, after a good message", `10000000${HEADER}11000000${HEADER}`],
  ["shorter than the header", `0f000000${HEADER}`],
  ["zero, which would be read for ever", `00000000${HEADER}`],
  ["4 GiB", `ffffffff${HEADER}`],
  ["cut off", "100000"],
  ["cut off after a good message", `10000000${HEADER}1000`],
])("decodeMessages() throws a RangeError when a length is %s", (_, hex) => {
  expect(() => decodeMessages(bytesOf(hex))).toThrow(RangeError);
  expect(() => decodeMessages(bytesOf(hex))).toThrow(
    /^Cannot read message at byte \d+: length \d+, \d+ bytes left$/,
  );
});

function refusal(name: string): Message {
  const [message] = decodeMessages(bytesOf(capturedReply(name).messages));
  return message as Message;
}

// What ip prints without words of the kernel's is strerror's, "RTNETLINK answers: …"; with words it is "Error: ….".
test.each([
  ["link add veth", 0],
  ["link add veth again", 17],
  ["link show missing", 19],
  ["link delete missing", 19],
  ["route append again", 17],
  ["gateway question, forwarding off", 113],
  ["gateway question, blackhole", 22],
  ["gateway question, no default route", 101],
  ["route delete pod again", 3],
])("the kernel's answer to %j is errno %i, without words", (name, errno) => {
  expect(readAcknowledgement(refusal(name))).toEqual({ errno, text: undefined });
});

test.each([
  ["address add again", 17],
  ["route add gateway too early", 101],
  ["neighbour get missing", 2],
])("the kernel's answer to %j is errno %i, in the words that ip prints", (name, errno) => {
  const { text } = readAcknowledgement(refusal(name));
  expect(readAcknowledgement(refusal(name)).errno).toBe(errno);
  expect(`Error: ${text}`.replace(/\.?$/, ".")).toBe(capturedReply(name).stderr);
});

/** The same answer as a socket with NETLINK_CAP_ACK gets it: of the request, its header alone is echoed. */
function capped({ body, flags, ...rest }: Message): Message {
  const echoed = new DataView(body.buffer, body.byteOffset).getUint32(4, true);
  const short = Buffer.concat([body.subarray(0, 20), body.subarray(4 + echoed)]);
  return { ...rest, flags: flags | NLM_F_CAPPED, body: Uint8Array.from(short) };
}

test.each(["address add again", "route add gateway too early", "neighbour get missing"])(
  "the words in the answer to %j are found with NLM_F_CAPPED as without",
  (name) => {
    const whole = refusal(name);
    expect(whole.flags & NLM_F_CAPPED).toBe(0);
    expect(capped(whole).body.length).toBeLessThan(whole.body.length);
    expect(readAcknowledgement(capped(whole))).toEqual(readAcknowledgement(whole));
  },
);

test("an echo whose length is no multiple of four is followed by padding, then by the words", () => {
  const echo = `11000000${HEADER}ff000000`;
  const message = {
    type: 2,
    flags: NLM_F_ACK_TLVS,
    sequence: 1,
    body: bytesOf(`efffffff${echo}080001006e6f2100`),
  };
  expect(readAcknowledgement(message)).toEqual({ errno: 17, text: "no!" });
});

test("without NLM_F_ACK_TLVS nothing is looked for behind the echo", () => {
  const message = {
    type: 2,
    flags: NLM_F_CAPPED,
    sequence: 1,
    body: bytesOf(`efffffff10000000${HEADER}ffff`),
  };
  expect(readAcknowledgement(message)).toEqual({ errno: 17, text: undefined });
});

test("the end of a dump has an errno, and words right behind it", () => {
  const done = (flags: number, hex: string) =>
    readAcknowledgement({ type: 3, flags, sequence: 1, body: bytesOf(hex) });
  expect(done(2, "00000000")).toEqual({ errno: 0, text: undefined });
  expect(done(2 | NLM_F_ACK_TLVS, `eaffffff080001006e6f2100`)).toEqual({ errno: 22, text: "no!" });
});

test("an echo that claims to be longer than the answer hides the words; the errno still counts", () => {
  const body = bytesOf(`efffffffff000000${HEADER}080001006e6f2100`);
  expect(readAcknowledgement({ type: 2, flags: NLM_F_ACK_TLVS, sequence: 1, body })).toEqual({
    errno: 17,
    text: undefined,
  });
});

test.each([
  ["a body too short for its errno", 0, "efff"],
  ["a body too short for the length of its echo", NLM_F_ACK_TLVS, "efffffff1000"],
  ["words longer than the body", NLM_F_ACK_TLVS | NLM_F_CAPPED, `efffffff10000000${HEADER}ff0001006e6f2100`],
])("readAcknowledgement() throws a RangeError for %s", (_, flags, hex) => {
  expect(() => readAcknowledgement({ type: 2, flags, sequence: 1, body: bytesOf(hex) })).toThrow(RangeError);
});
