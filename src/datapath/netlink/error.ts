// The one error that leaves this room when the kernel refuses a request.

/** A refused request. Callers compare `code`; the message is for people. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** The request as a person would type it. */
  readonly request: string;
  /** errno by name, "EEXIST"; or "EPROTO" when the answer itself made no sense. */
  readonly code: string;
  /** The kernel's own words (extended ACK) or strerror's. */
  readonly reason: string;

  constructor(request: string, code: string, reason: string, options?: ErrorOptions) {
    super(`Cannot ${request}: ${reason}`, options);
    this.request = request;
    this.code = code;
    this.reason = reason;
  }
}
