// A scripted transport: what a kernel gives only when it is under pressure, or never.
import { expect, test } from "vitest";
import { NetlinkError } from "../../../src/datapath/netlink/error.ts";
import { decodeMessages, type Request } from "../../../src/datapath/netlink/message.ts";
import { NetlinkSocket, type Transport } from "../../../src/datapath/netlink/socket.ts";
import { SystemError } from "../../../src/libc.ts";

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 2;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const ENOENT = 2;
const EEXIST = 17;

/** A message of the kernel's, as bytes. */
function message(type: number, sequence: number, body: Uint8Array | number[] = [], flags = 0): Buffer {
  const bytes = Buffer.alloc(Math.ceil((16 + body.length) / 4) * 4);
  bytes.writeUInt32LE(16 + body.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(body, 16);
  return bytes;
}

/** An acknowledgement as our sockets get it: the header of the request is echoed, and words follow if there are any. */
function ack(sequence: number, errno = 0, words?: string): Buffer {
  const body = Buffer.alloc(20);
  body.writeInt32LE(-errno, 0);
  body.writeUInt32LE(16, 4);
  if (words === undefined) return message(NLMSG_ERROR, sequence, body, NLM_F_CAPPED);
  const text = Buffer.alloc(Math.ceil((5 + words.length) / 4) * 4);
  text.writeUInt16LE(5 + words.length, 0);
  text.writeUInt16LE(1, 2);
  text.write(words, 4);
  return message(NLMSG_ERROR, sequence, Buffer.concat([body, text]), NLM_F_CAPPED | NLM_F_ACK_TLVS);
}

const done = (sequence: number, flags = 0) =>
  message(NLMSG_DONE, sequence, [0, 0, 0, 0], NLM_F_MULTI | flags);
const object = (sequence: number, value: number, flags = 0) => message(100, sequence, [value], flags);

/** Plays datagrams back in order into one buffer, as the kernel does; an error is thrown in its place. */
class Script implements Transport {
  readonly sent: Buffer[] = [];
  readonly #script: (Buffer | Error)[];
  readonly #buffer = new Uint8Array(4096);
  isClosed = false;

  constructor(...script: (Buffer | Error)[]) {
    this.#script = script;
  }

  send(datagram: Uint8Array): void {
    this.sent.push(Buffer.from(datagram));
  }

  receive(): Uint8Array {
    const next = this.#script.shift() ?? new SystemError("recv", 11);
    if (next instanceof Error) throw next;
    this.#buffer.fill(0xff);
    this.#buffer.set(next);
    return this.#buffer.subarray(0, next.length);
  }

  get left(): number {
    return this.#script.length;
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
  }
}

const request = (command: string): Request => ({ command, type: 99, flags: 0, body: new Uint8Array(0) });
const A = request("ip link add a");
const B = request("ip link add b");
const C = request("ip link add c");
const LIST = request("ip link show");

const values = (messages: readonly { body: Uint8Array }[]) => messages.map(({ body }) => body[0]);

function thrown(work: () => unknown): NetlinkError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(NetlinkError);
    return error as NetlinkError;
  }
  throw new Error("Cannot tell what was thrown: nothing was");
}

test("requests travel in one datagram, with ascending sequence numbers", () => {
  const script = new Script(ack(1), ack(2), ack(3), ack(4));
  const socket = new NetlinkSocket(script);
  socket.execute(A, B);
  socket.execute(C, A);
  const sequences = script.sent.map((datagram) => decodeMessages(datagram).map(({ sequence }) => sequence));
  expect(sequences).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

test("exchange() takes all acknowledgements from one datagram", () => {
  const socket = new NetlinkSocket(new Script(Buffer.concat([ack(1), ack(2), ack(3)])));
  expect(socket.exchange([A, B, C]).map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
});

test("exchange() takes them from several datagrams, however they are cut", () => {
  const script = new Script(ack(1), Buffer.concat([ack(2), object(3, 7)]), ack(3));
  const outcomes = new NetlinkSocket(script).exchange([A, B, C]);
  expect(outcomes.map(({ messages }) => values(messages))).toEqual([[], [], [7]]);
  expect(script.left).toBe(0);
});

test("exchange() tells every outcome in the order of the requests, also after a refusal", () => {
  const script = new Script(Buffer.concat([ack(1), ack(2, EEXIST), object(3, 7), object(3, 8), ack(3)]));
  const [first, second, third] = new NetlinkSocket(script).exchange([A, B, C]);
  expect(first).toMatchObject({ error: undefined, messages: [] });
  expect(second?.error).toMatchObject({ code: "EEXIST", request: "ip link add b" });
  expect(values(third?.messages ?? [])).toEqual([7, 8]);
});

test("exchange() of nothing waits for nothing", () => {
  expect(new NetlinkSocket(new Script()).exchange([])).toEqual([]);
});

test("execute() throws the first refusal, and returns what the others brought", () => {
  const script = new Script(
    Buffer.concat([ack(1), ack(2, ENOENT), ack(3, EEXIST)]),
    object(4, 1),
    ack(4),
    object(5, 2),
    ack(5),
  );
  const socket = new NetlinkSocket(script);
  expect(thrown(() => socket.execute(A, B, C))).toMatchObject({ code: "ENOENT", request: "ip link add b" });
  expect(values(socket.execute(A, B))).toEqual([1, 2]);
});

test("a refusal speaks the kernel's words where it has any", () => {
  const socket = new NetlinkSocket(new Script(ack(1, EEXIST, "Address already assigned")));
  expect(thrown(() => socket.execute(A))).toMatchObject({
    name: "NetlinkError",
    request: "ip link add a",
    code: "EEXIST",
    reason: "Address already assigned",
    message: "Cannot ip link add a: Address already assigned",
  });
});

test("a refusal without words speaks strerror's", () => {
  const socket = new NetlinkSocket(new Script(ack(1, EEXIST)));
  expect(thrown(() => socket.execute(A)).message).toBe("Cannot ip link add a: File exists");
});

test("an errno without a name keeps its number", () => {
  const socket = new NetlinkSocket(new Script(ack(1, 524)));
  expect(thrown(() => socket.execute(A))).toMatchObject({ code: "errno 524", reason: "Unknown error 524" });
});

test("answers with older sequence numbers are skipped", () => {
  const stale = Buffer.concat([object(1, 6), ack(1, EEXIST)]);
  const script = new Script(
    new SystemError("recv", 105),
    stale,
    Buffer.concat([ack(1, EEXIST), object(2, 7), ack(2)]),
  );
  const socket = new NetlinkSocket(script);
  expect(() => socket.execute(A)).toThrow(NetlinkError);
  expect(values(socket.execute(B))).toEqual([7]);
});

test("what the kernel sends unasked, with sequence number 0, is skipped", () => {
  const socket = new NetlinkSocket(new Script(object(0, 5), Buffer.concat([object(0, 6), ack(1)])));
  expect(socket.execute(A)).toEqual([]);
});

test("a full receive buffer (ENOBUFS) is an error by name, and the next exchange works", () => {
  const socket = new NetlinkSocket(new Script(new SystemError("recv", 105), ack(2)));
  expect(thrown(() => socket.execute(A))).toMatchObject({ code: "ENOBUFS", request: "ip link add a" });
  expect(socket.execute(B)).toEqual([]);
});

test("silence is an error and not a pause", () => {
  const socket = new NetlinkSocket(new Script());
  expect(thrown(() => socket.execute(A)).code).toBe("EAGAIN");
});

test("a request that cannot be sent is refused with all the commands of the datagram", () => {
  const script = new Script();
  script.send = () => {
    throw new SystemError("send", 1);
  };
  expect(thrown(() => new NetlinkSocket(script).execute(A, B))).toMatchObject({
    code: "EPERM",
    request: "ip link add a; ip link add b",
  });
});

test.each([
  ["a datagram cut off within a message", ack(1).subarray(0, 30)],
  ["a datagram cut off within a header", ack(1).subarray(0, 9)],
  ["a message whose length is zero", Buffer.alloc(16)],
  ["an acknowledgement too short for its errno", message(NLMSG_ERROR, 1, [1, 2])],
  [
    "words that are longer than the message",
    message(NLMSG_ERROR, 1, [...Buffer.alloc(20, 16), 255, 0, 1, 0], NLM_F_CAPPED | NLM_F_ACK_TLVS),
  ],
])("%s is EPROTO, never success and never a bare RangeError", (_, datagram) => {
  expect(thrown(() => new NetlinkSocket(new Script(Buffer.from(datagram))).execute(A)).code).toBe("EPROTO");
});

test("what is longer than the buffer (MSG_TRUNC) is EPROTO with both lengths", () => {
  const socket = new NetlinkSocket(new Script(new RangeError("answer of 40000 bytes, room for 32768")));
  expect(thrown(() => socket.execute(A))).toMatchObject({
    code: "EPROTO",
    message: "Cannot ip link add a: answer of 40000 bytes, room for 32768",
  });
});

test("objects survive the datagram that overwrites the buffer", () => {
  const socket = new NetlinkSocket(new Script(object(1, 7), object(1, 8), ack(1)));
  expect(values(socket.execute(A))).toEqual([7, 8]);
});

test("dump() collects objects over datagrams until the end", () => {
  const script = new Script(
    Buffer.concat([object(1, 1, NLM_F_MULTI), object(1, 2, NLM_F_MULTI)]),
    object(1, 3, NLM_F_MULTI),
    done(1),
  );
  expect(values(new NetlinkSocket(script).dump(LIST))).toEqual([1, 2, 3]);
  // NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP.
  expect(script.sent[0]?.readUInt16LE(6)).toBe(0x305);
});

test("dump() of nothing is an empty list", () => {
  expect(new NetlinkSocket(new Script(done(1))).dump(LIST)).toEqual([]);
});

test.each([
  ["an object", [object(1, 1, NLM_F_MULTI | NLM_F_DUMP_INTR), done(1)]],
  ["the end", [object(1, 1, NLM_F_MULTI), done(1, NLM_F_DUMP_INTR)]],
])(
  "a dump that %s marks as interrupted is asked for again, and its objects are not told twice",
  (_, interrupted) => {
    const script = new Script(...interrupted, object(2, 2, NLM_F_MULTI), object(2, 3, NLM_F_MULTI), done(2));
    expect(values(new NetlinkSocket(script).dump(LIST))).toEqual([2, 3]);
    expect(script.sent).toHaveLength(2);
  },
);

test("a dump that is interrupted twenty times is EINTR, not an incomplete list", () => {
  const script = new Script(...Array.from({ length: 30 }, (_, at) => done(at + 1, NLM_F_DUMP_INTR)));
  expect(thrown(() => new NetlinkSocket(script).dump(LIST))).toMatchObject({
    code: "EINTR",
    request: "ip link show",
    message: "Cannot ip link show: interrupted 20 times by changes",
  });
  expect(script.left).toBe(10);
});

test("a dump that the kernel refuses is thrown", () => {
  const socket = new NetlinkSocket(new Script(ack(1, 95)));
  expect(thrown(() => socket.dump(LIST)).code).toBe("EOPNOTSUPP");
});

test("a dump that ends with an error is thrown, although objects came before", () => {
  const end = message(NLMSG_DONE, 1, [0x97, 0xff, 0xff, 0xff], NLM_F_MULTI);
  const socket = new NetlinkSocket(new Script(object(1, 1, NLM_F_MULTI), end));
  expect(thrown(() => socket.dump(LIST)).code).toBe("ENOBUFS");
});

test("disposing of the socket closes what lies below", () => {
  const script = new Script();
  new NetlinkSocket(script)[Symbol.dispose]();
  expect(script.isClosed).toBe(true);
});
