// HTTPS, as much of it as asking an API server takes: GET, one answer for each connection (RFC 9112).
import { concat } from "../bytes.ts";
import { formatServer, type Server } from "./tcp.ts";
import { TlsConnection, type TlsOptions } from "./tls.ts";

/** Longer answers are none that we asked for. */
const LONGEST_HEAD_BYTES = 64 << 10;
const LONGEST_BODY_BYTES = 16 << 20;
const CHUNK_BYTES = 16 << 10;

export interface Question extends TlsOptions {
  /** Begins with a slash. */
  readonly path: string;
  /** Sent as a bearer's. */
  readonly token: string;
}

export interface HttpAnswer {
  readonly status: number;
  /** The server's word for the status: "Not Found". */
  readonly reason: string;
  readonly body: string;
}

/** An answer that is no HTTP, or not all of it. Whoever gave it may be on the way to something better. */
export class HttpError extends Error {
  override readonly name = "HttpError";
}

/** Asks once, and waits for all of the answer. Throws a TlsError, a SystemError, or an HttpError. */
export function get(server: Server, { path, token, ...options }: Question): HttpAnswer {
  using connection = TlsConnection.open(server, options);
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${formatServer(server)}`,
    `Authorization: Bearer ${token}`,
    "Accept: application/json",
    "User-Agent: slash32",
    "Connection: close",
  ];
  connection.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  return receive(new Incoming((buffer) => connection.read(buffer)));
}

/** An answer from whatever tells its bytes: `read` fills a buffer in part, and returns 0 at the end. */
export function receive(incoming: Incoming): HttpAnswer {
  const [, status, reason = ""] = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(incoming.line()) ?? [];
  if (status === undefined) throw strange("it does not begin as HTTP does");
  const headers = readHeaders(incoming);
  const bytes = readBody(incoming, headers);
  return { status: Number(status), reason, body: new TextDecoder().decode(bytes) };
}

function readHeaders(incoming: Incoming): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (let line = incoming.line(); line !== ""; line = incoming.line()) {
    const at = line.indexOf(":");
    if (at <= 0) throw strange("a header has no name");
    headers.set(line.slice(0, at).toLowerCase(), line.slice(at + 1).trim());
  }
  return headers;
}

function readBody(incoming: Incoming, headers: ReadonlyMap<string, string>): Uint8Array {
  if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return readChunks(incoming);
  const length = headers.get("content-length");
  if (length === undefined) return incoming.rest();
  if (!/^\d+$/.test(length)) throw strange(`Content-Length is ${JSON.stringify(length)}`);
  return incoming.take(Number(length));
}

/** RFC 9112, section 7.1. Trailers are read and left. */
function readChunks(incoming: Incoming): Uint8Array {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const [, size] = /^([0-9a-fA-F]{1,8})[ \t]*(?:;.*)?$/.exec(incoming.line()) ?? [];
    if (size === undefined) throw strange("a chunk has no size");
    const length = Number.parseInt(size, 16);
    if (length === 0) break;
    total += length;
    if (total > LONGEST_BODY_BYTES) throw tooLong();
    chunks.push(incoming.take(length));
    if (incoming.line() !== "") throw strange("a chunk is longer than it says");
  }
  while (incoming.line() !== "");
  return concat(chunks);
}

/** Bytes as they come, taken by lines and by lengths. */
export class Incoming {
  readonly #read: (buffer: Uint8Array) => number;
  #pending = new Uint8Array(0);

  constructor(read: (buffer: Uint8Array) => number) {
    this.#read = read;
  }

  /** Without its end. */
  line(): string {
    for (let from = 0; ; ) {
      const end = this.#pending.indexOf(0x0a, from);
      if (end >= 0) {
        const text = new TextDecoder().decode(this.#cut(end + 1));
        return text.replace(/\r?\n$/, "");
      }
      from = this.#pending.length;
      if (from > LONGEST_HEAD_BYTES) throw tooLong();
      if (!this.#more()) throw cutOff();
    }
  }

  /** Exactly so many bytes. */
  take(length: number): Uint8Array {
    if (length > LONGEST_BODY_BYTES) throw tooLong();
    while (this.#pending.length < length) if (!this.#more()) throw cutOff();
    return this.#cut(length);
  }

  /** All until the end. */
  rest(): Uint8Array {
    while (this.#more()) if (this.#pending.length > LONGEST_BODY_BYTES) throw tooLong();
    return this.#cut(this.#pending.length);
  }

  #cut(length: number): Uint8Array {
    const bytes = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    return bytes;
  }

  #more(): boolean {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const length = this.#read(chunk);
    this.#pending = concat([this.#pending, chunk.subarray(0, length)]);
    return length > 0;
  }
}

function strange(what: string): HttpError {
  return new HttpError(`Cannot read the server's answer: ${what}`);
}

function tooLong(): HttpError {
  return strange("it is too long");
}

function cutOff(): HttpError {
  return strange("it ends in the middle");
}
