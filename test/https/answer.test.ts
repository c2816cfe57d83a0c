// Answers as they come over the wire, in pieces of any size, whole and broken.
import { describe, expect, test } from "vitest";
import { Incoming, receive } from "../../src/https/https.ts";
import { thrown } from "../helpers/thrown.ts";

/** In pieces of so many bytes. */
function answer(text: string, pieceBytes: number) {
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  const read = (buffer: Uint8Array) => {
    const piece = bytes.subarray(at, at + pieceBytes);
    buffer.set(piece);
    at += piece.length;
    return piece.length;
  };
  return () => receive(new Incoming(read));
}

describe.each([1, 7, 16_384])("in pieces of %d bytes", (pieceBytes) => {
  test.each([
    ["its length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwordmore"],
    [
      "chunks",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nwor\r\n1\r\nd\r\n0\r\nT: t\r\n\r\n",
    ],
    ["the end of the connection", "HTTP/1.0 200 OK\r\n\r\nword"],
  ])("a body ends by %s", (_, text) => {
    expect(answer(text, pieceBytes)()).toEqual({ status: 200, reason: "OK", body: "word" });
  });
});

test.each([
  ["HTTP/2 200 OK\r\n\r\n", "it does not begin as HTTP does"],
  ["HTTP/1.1 200\r\nno header\r\n\r\n", "a header has no name"],
  ["HTTP/1.1 200\r\nContent-Length: -1\r\n\r\n", 'Content-Length is "-1"'],
  ["HTTP/1.1 200\r\nContent-Length: 99999999\r\n\r\n", "it is too long"],
  ["HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nword", "it ends in the middle"],
  ["HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk has no size"],
  ["HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nword\r\n", "a chunk is longer than it says"],
  ["HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "it is too long"],
  [`HTTP/1.1 200 ${"x".repeat(100_000)}`, "it is too long"],
  ["", "it ends in the middle"],
])("%j is no answer", (text, reason) => {
  expect(thrown(answer(text, 1000)).message).toBe(`Cannot read the server's answer: ${reason}`);
});
