// A TLS connection to a server that is known by its address, and by who signed its certificate.
import { formatAddress } from "../address.ts";
import { close } from "../libc.ts";
import {
  distrust,
  forgetErrors,
  freeContext,
  freeSession,
  type Handle,
  isPeer,
  lastWords,
  newContext,
  newSession,
  readSession,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
  sessionError,
  shakeHands,
  writeSession,
} from "./openssl.ts";
import { dial, type Server, setPatience } from "./tcp.ts";

/** Why there is no connection, or no more: `untrusted` does not mend itself, the others may. */
export type TlsFailure = "untrusted" | "timeout" | "broken";

export class TlsError extends Error {
  override readonly name = "TlsError";
  readonly code: TlsFailure;

  constructor(code: TlsFailure, message: string) {
    super(message);
    this.code = code;
  }
}

export interface TlsOptions {
  /** Certificates of those who may have signed the server's (PEM). */
  readonly caFile: string;
  /** What the server's certificate may be made out to, instead of to its address. */
  readonly name: string;
  /** `performance.now()` at which whatever is under way ends with a TlsError, code "timeout". */
  readonly deadline: number;
}

/** Blocking, for one thread. The opener disposes of it. */
export class TlsConnection implements Disposable {
  readonly #fd: number;
  readonly #context: Handle;
  readonly #session: Handle;
  readonly #deadline: number;

  private constructor(fd: number, context: Handle, session: Handle, deadline: number) {
    this.#fd = fd;
    this.#context = context;
    this.#session = session;
    this.#deadline = deadline;
  }

  /** Nothing was sent when the certificate is not the server's. Throws a TlsError, or a SystemError by connect(2). */
  static open(server: Server, { caFile, name, deadline }: TlsOptions): TlsConnection {
    using undo = new DisposableStack();
    const context = undo.adopt(newContext(caFile), freeContext);
    const fd = undo.adopt(dial(server, deadline - performance.now()), close);
    const session = undo.adopt(newSession(context, fd, name), freeSession);
    const connection = new TlsConnection(fd, context, session, deadline);
    connection.#shakeHands(formatAddress(server.address), name);
    undo.move(); // done: the connection's own dispose() takes over
    return connection;
  }

  /** All of it. Throws a TlsError. */
  write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#attempt("send", () => writeSession(this.#session, bytes));
  }

  /** Waits for some bytes, and tells how many; 0 when the server has said all. Throws a TlsError, also for a cut. */
  read(buffer: Uint8Array): number {
    return this.#attempt("receive", () => readSession(this.#session, buffer));
  }

  [Symbol.dispose](): void {
    freeSession(this.#session);
    close(this.#fd);
    freeContext(this.#context);
  }

  #shakeHands(address: string, name: string): void {
    try {
      this.#attempt("agree on keys", () => shakeHands(this.#session));
    } catch (error) {
      const reason = distrust(this.#session);
      if (reason === undefined) throw error;
      throw new TlsError("untrusted", `Cannot trust the server's certificate: ${reason}`);
    }
    if (isPeer(this.#session, address, name)) return;
    const reason = `it is made out neither to ${address} nor to ${name}`;
    throw new TlsError("untrusted", `Cannot trust the server's certificate: ${reason}`);
  }

  /** What OpenSSL returns when it has done something; 0 at the orderly end. */
  #attempt(what: string, call: () => number): number {
    const left = this.#deadline - performance.now();
    if (left <= 0) throw tooSlow(what);
    setPatience(this.#fd, left);
    forgetErrors();
    const done = call();
    if (done > 0) return done;
    const code = sessionError(this.#session, done);
    if (code === SSL_ERROR_ZERO_RETURN) return 0;
    // Its word for EAGAIN, which a blocking socket says when its time is over.
    if (code === SSL_ERROR_WANT_READ || code === SSL_ERROR_WANT_WRITE) throw tooSlow(what);
    throw new TlsError("broken", `Cannot ${what}: ${lastWords()}`);
  }
}

function tooSlow(what: string): TlsError {
  return new TlsError("timeout", `Cannot ${what}: the server does not answer`);
}
