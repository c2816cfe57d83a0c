// OpenSSL (3.0 and later): as much of it as a TLS client needs. Integers and pointers only.
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { cString, textAt } from "../libc.ts";

// include/openssl/ssl.h, tls1.h
const SSL_VERIFY_PEER = 1;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const TLSEXT_NAMETYPE_host_name = 0;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const TLS1_2_VERSION = 0x0303;
const LONGEST_WORDS = 256;

export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_WANT_WRITE = 3;
export const SSL_ERROR_ZERO_RETURN = 6;
// include/openssl/x509_vfy.h
const X509_V_OK = 0;
const X509_V_FLAG_PARTIAL_CHAIN = 0x80000;

/** An object of OpenSSL's. */
export type Handle = Pointer | bigint;

function open() {
  const { symbols: ssl } = dlopen("libssl.so.3", {
    TLS_client_method: { args: [], returns: "ptr" },
    SSL_CTX_new: { args: ["ptr"], returns: "ptr" },
    SSL_CTX_free: { args: ["ptr"], returns: "void" },
    SSL_CTX_ctrl: { args: ["ptr", "i32", FFIType.i64_fast, "ptr"], returns: FFIType.i64_fast },
    SSL_CTX_load_verify_locations: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
    SSL_CTX_set_verify: { args: ["ptr", "i32", "ptr"], returns: "void" },
    SSL_CTX_get0_param: { args: ["ptr"], returns: "ptr" },
    SSL_new: { args: ["ptr"], returns: "ptr" },
    SSL_free: { args: ["ptr"], returns: "void" },
    SSL_ctrl: { args: ["ptr", "i32", FFIType.i64_fast, "ptr"], returns: FFIType.i64_fast },
    SSL_set_fd: { args: ["ptr", "i32"], returns: "i32" },
    SSL_connect: { args: ["ptr"], returns: "i32" },
    SSL_read: { args: ["ptr", "ptr", "i32"], returns: "i32" },
    SSL_write: { args: ["ptr", "ptr", "i32"], returns: "i32" },
    SSL_get_error: { args: ["ptr", "i32"], returns: "i32" },
    SSL_get_verify_result: { args: ["ptr"], returns: FFIType.i64_fast },
    SSL_get1_peer_certificate: { args: ["ptr"], returns: "ptr" },
  });
  const { symbols: crypto } = dlopen("libcrypto.so.3", {
    ERR_clear_error: { args: [], returns: "void" },
    ERR_get_error: { args: [], returns: FFIType.i64_fast },
    ERR_error_string_n: { args: ["i64", "ptr", "u64"], returns: "void" },
    X509_check_host: { args: ["ptr", "ptr", "u64", "u32", "ptr"], returns: "i32" },
    X509_check_ip_asc: { args: ["ptr", "ptr", "u32"], returns: "i32" },
    X509_free: { args: ["ptr"], returns: "void" },
    X509_VERIFY_PARAM_set_flags: { args: ["ptr", "u64"], returns: "i32" },
    X509_verify_cert_error_string: { args: [FFIType.i64_fast], returns: "ptr" },
  });
  return { ...ssl, ...crypto };
}

let opened: ReturnType<typeof open> | undefined;

/** Loaded when it is first needed: no verb does. */
function openssl(): ReturnType<typeof open> {
  opened ??= open();
  return opened;
}

/**
 * A client's context, for TLS 1.2 and later, that trusts nobody but the certificates in the file (PEM), be they roots or,
 * as in a cluster below a company's own authority, certificates that a root not in the file has signed. Throws when they
 * cannot be read. The caller frees it.
 */
export function newContext(caFile: string): Handle {
  const lib = openssl();
  const context = lib.SSL_CTX_new(lib.TLS_client_method());
  if (context === null) throw new Error(`Cannot set up TLS: ${lastWords()}`);
  forgetErrors();
  const path = cString(caFile, "read certificates"); // kept as long as it is read
  if (lib.SSL_CTX_load_verify_locations(context, ptr(path), null) !== 1) {
    const reason = lastWords();
    lib.SSL_CTX_free(context);
    throw new Error(`Cannot read certificates from ${caFile}: ${reason}`);
  }
  lib.SSL_CTX_set_verify(context, SSL_VERIFY_PEER, null);
  lib.X509_VERIFY_PARAM_set_flags(lib.SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, null);
  return context;
}

/** A session on a connected socket, which stays the caller's; `name` is what it asks the server for (SNI). */
export function newSession(context: Handle, fd: number, name: string): Handle {
  const lib = openssl();
  const session = lib.SSL_new(context);
  if (session === null) throw new Error(`Cannot set up TLS: ${lastWords()}`);
  const host = cString(name, "set up TLS");
  lib.SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, ptr(host));
  lib.SSL_set_fd(session, fd);
  return session;
}

/** The three below return what OpenSSL does: above 0 when it has done something, else see `sessionError`. */
export function shakeHands(session: Handle): number {
  return openssl().SSL_connect(session);
}

export function readSession(session: Handle, buffer: Uint8Array): number {
  return openssl().SSL_read(session, ptr(buffer), buffer.length);
}

/** All or nothing, as long as nobody sets SSL_MODE_ENABLE_PARTIAL_WRITE. */
export function writeSession(session: Handle, bytes: Uint8Array): number {
  return openssl().SSL_write(session, ptr(bytes), bytes.length);
}

/** SSL_ERROR_*: what became of the last call on the session, by what that returned. */
export function sessionError(session: Handle, returned: number): number {
  return openssl().SSL_get_error(session, returned);
}

/** Before a call whose failure is to be told by `lastWords`. */
export function forgetErrors(): void {
  openssl().ERR_clear_error();
}

export function freeContext(context: Handle): void {
  openssl().SSL_CTX_free(context);
}

export function freeSession(session: Handle): void {
  openssl().SSL_free(session);
}

/** Whether the certificate that the server showed is that of the address, or of the name. */
export function isPeer(session: Handle, address: string, name: string): boolean {
  const lib = openssl();
  const certificate = lib.SSL_get1_peer_certificate(session);
  if (certificate === null) return false;
  try {
    const [ip, host] = [cString(address, "compare names"), cString(name, "compare names")];
    return (
      lib.X509_check_ip_asc(certificate, ptr(ip), 0) === 1 ||
      lib.X509_check_host(certificate, ptr(host), host.length - 1, 0, null) === 1
    );
  } finally {
    lib.X509_free(certificate);
  }
}

/** Why the server's certificate is not trusted; `undefined` when it is. */
export function distrust(session: Handle): string | undefined {
  const verdict = openssl().SSL_get_verify_result(session);
  if (Number(verdict) === X509_V_OK) return undefined;
  return textAt(openssl().X509_verify_cert_error_string(verdict));
}

/** OpenSSL's words for the last error on this thread, the part for people: "certificate verify failed". */
export function lastWords(): string {
  const lib = openssl();
  const code = lib.ERR_get_error();
  if (Number(code) === 0) return "the connection was cut";
  const buffer = new Uint8Array(LONGEST_WORDS);
  lib.ERR_error_string_n(code, ptr(buffer), LONGEST_WORDS);
  const words = new TextDecoder().decode(buffer.subarray(0, buffer.indexOf(0)));
  // "error:0A000086:SSL routines::certificate verify failed"
  return words.split(":").at(-1) ?? words;
}
