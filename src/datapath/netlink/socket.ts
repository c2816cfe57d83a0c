// A conversation with the kernel: requests out, answers in. Every refusal that leaves here is a NetlinkError.
import { concat } from "../../bytes.ts";
import { errnoName } from "../../errno.ts";
import {
  close,
  describeErrno,
  receive,
  SystemError,
  send,
  setSocketOption,
  sleep,
  socket,
} from "../../libc.ts";
import { NetlinkError } from "./error.ts";
import {
  decodeMessages,
  encodeMessage,
  type Message,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Request,
  readAcknowledgement,
} from "./message.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

// A dump fills what it is given, up to 32 KiB at a time (net/netlink/af_netlink.c).
const BUFFER_BYTES = 32 * 1024;
// So many acknowledgements fit into a socket's default buffer three times over; what does not fit is lost (ENOBUFS).
const LONGEST_BATCH = 64;
// A dump that is interrupted this often is telling us something else than "try again".
const DUMP_ATTEMPTS = 20;
// Before each new attempt up to twice as long as before the last, and no longer than this.
const LONGEST_PAUSE_MS = 64;

/** What lies below: whole datagrams. Tests script it with what no kernel gives on demand. */
export interface Transport extends Disposable {
  send(datagram: Uint8Array): void;
  /** The next datagram; valid until the next call. */
  receive(): Uint8Array;
}

/** The outcome of one request among several. */
export interface Outcome {
  /** Present exactly when the kernel refused. */
  readonly error: NetlinkError | undefined;
  /** Objects the kernel sent before the acknowledgement: what a GET asked for. */
  readonly messages: Message[];
}

interface Answer extends Outcome {
  /** The objects changed while they were listed (NLM_F_DUMP_INTR): some may be missing. */
  readonly interrupted: boolean;
}

export class NetlinkSocket implements Disposable {
  readonly #transport: Transport;
  #sequence = 0;
  #pending: Message[] = [];

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** A socket of the calling thread's network namespace, to which it belongs for life. The caller closes it. */
  static open(protocol: number): NetlinkSocket {
    return new NetlinkSocket(kernelTransport(protocol));
  }

  /**
   * Sends all requests, 64 in a datagram, and returns their outcomes in the same order. The kernel carries them
   * out one after the other, whether or not an earlier one was refused. Not for dumps.
   */
  exchange(requests: readonly Request[]): Outcome[] {
    const outcomes: Outcome[] = [];
    for (let from = 0; from < requests.length; from += LONGEST_BATCH) {
      const batch = requests.slice(from, from + LONGEST_BATCH);
      const first = this.#sequence + 1;
      this.#sequence += batch.length;
      this.#send(batch, concat(batch.map((request, at) => encodeMessage(request, first + at))));
      outcomes.push(...batch.map((request, at) => this.#answer(request, first + at)));
    }
    return outcomes;
  }

  /** Like `exchange`, but throws the first refusal. Returns what the requests brought back, in order. */
  execute(...requests: readonly Request[]): Message[] {
    const brought: Message[] = [];
    for (const { error, messages } of this.exchange(requests)) {
      if (error) throw error;
      brought.push(...messages);
    }
    return brought;
  }

  /** All objects a dump names. A dump the kernel marks as interrupted is asked for again, after a pause. */
  dump(request: Request): Message[] {
    const dump = { ...request, flags: request.flags | NLM_F_DUMP };
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      const sequence = ++this.#sequence;
      this.#send([request], encodeMessage(dump, sequence));
      const { error, messages, interrupted } = this.#answer(request, sequence);
      if (error) throw error;
      if (!interrupted) return messages;
      sleep(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE_MS)); // others are at work, and in step with us
    }
    throw new NetlinkError(request.command, "EINTR", `interrupted ${DUMP_ATTEMPTS} times by changes`);
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  #send(requests: readonly Request[], datagram: Uint8Array): void {
    try {
      this.#transport.send(datagram);
    } catch (error) {
      throw translated(requests.map(({ command }) => command).join("; "), error);
    }
  }

  /** Collects until the acknowledgement (or the end of the dump) with this sequence number. */
  #answer(request: Request, sequence: number): Answer {
    const messages: Message[] = [];
    let interrupted = false;
    for (;;) {
      const message = this.#next(request);
      // Left over from an exchange that failed half-way: its outcome was told already.
      if (message.sequence !== sequence) continue;
      interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        return { error: refusal(request, message), messages, interrupted };
      }
      // Copied, for the next datagram overwrites the buffer.
      messages.push({ ...message, body: message.body.slice() });
    }
  }

  #next(request: Request): Message {
    while (this.#pending.length === 0) {
      try {
        this.#pending = decodeMessages(this.#transport.receive());
      } catch (error) {
        throw translated(request.command, error);
      }
    }
    return this.#pending.shift() as Message;
  }
}

function refusal({ command }: Request, message: Message): NetlinkError | undefined {
  try {
    const { errno, text } = readAcknowledgement(message);
    if (errno === 0) return undefined;
    return new NetlinkError(command, errnoName(errno), text ?? describeErrno(errno));
  } catch (error) {
    return translated(command, error);
  }
}

function translated(command: string, cause: unknown): NetlinkError {
  if (cause instanceof NetlinkError) return cause;
  const code = cause instanceof SystemError ? cause.code : "EPROTO";
  return new NetlinkError(command, code, cause instanceof Error ? cause.message : String(cause), { cause });
}

function kernelTransport(protocol: number): Transport {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  // Reasons in words; no echo of the request in errors; refuse what a GET would otherwise ignore (kernel 4.20).
  setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  setSocketOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  const buffer = new Uint8Array(BUFFER_BYTES);
  return {
    send: (datagram) => send(fd, datagram),
    receive() {
      // Never waits: the kernel has answered before send(2) returns, so silence is an error and not a pause.
      const length = receive(fd, buffer, MSG_TRUNC | MSG_DONTWAIT);
      if (length > buffer.length)
        throw new RangeError(`answer of ${length} bytes, room for ${buffer.length}`);
      return buffer.subarray(0, length);
    },
    [Symbol.dispose]: () => close(fd),
  };
}
