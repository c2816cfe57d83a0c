// Errors as the runtime reads them. The one place that turns the rooms' errors into CNI codes.
import { NetlinkError } from "../datapath/netlink/error.ts";
import { NamespaceError } from "../datapath/netns.ts";
import { SysctlError } from "../datapath/sysctl.ts";
import { StoreError } from "../ipam/database.ts";
import { DelegateError } from "../ipam/delegate.ts";
import { LeaseError } from "../ipam/lease.ts";
import { SystemError } from "../libc.ts";

/** CNI specification, section 2, "Error"; 8 is the reference library's, 100 and above are ours. */
export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  invalidEnvironment: 4,
  io: 5,
  undecodable: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  notReady: 50,
  notReadyAndLimited: 51,
  noFreeAddress: 100,
  addressUnavailable: 101,
  kernelRefused: 102,
  storeFailed: 103,
  notAsItShouldBe: 104,
  delegateFailed: 105,
  internal: 999,
} as const;

/**
 * A failure that goes to the runtime as it is. `reason` is one stable word to search for; the message is one
 * line for `kubectl describe pod`: what was tried, why not, what to do. `details` has the rest.
 */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly reason: string;
  readonly details: string | undefined;

  constructor(code: number, reason: string, message: string, details?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** The error object of the specification. */
export interface ErrorObject {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** Any error as the specification's object: a known one with its code and remedy, a bug with code 999. */
export function errorObject(error: unknown, cniVersion: string): ErrorObject {
  const { code, reason, message, details } = toCniError(error);
  const msg = oneLine(reason === "" ? message : `${reason}: ${message}`);
  return { cniVersion, code, msg, ...(details ? { details } : {}) };
}

export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  if (error instanceof SuppressedError) return withFailedUndo(error);
  const known = TABLE.find(([kind]) => error instanceof kind);
  if (known === undefined) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const advice = "this is a bug in slash32, please report it";
    return new CniError(Code.internal, "InternalError", `${message}; ${advice}`, undefined, { cause: error });
  }
  return known[1](error as never);
}

type Translation = readonly [new (...values: never[]) => Error, (error: never) => CniError];

const TABLE: readonly Translation[] = [
  [
    LeaseError,
    (error: LeaseError) =>
      error.code === "EXHAUSTED"
        ? wrapped(
            error,
            Code.noFreeAddress,
            "NoFreeAddress",
            "delete pods, or add a range to the configuration",
          )
        : wrapped(error, Code.addressUnavailable, "AddressUnavailable", "ask for another, or for none"),
  ],
  [
    StoreError,
    (error: StoreError) => wrapped(error, Code.storeFailed, "StoreFailed", STORE_ADVICE[error.code]),
  ],
  [
    NamespaceError,
    (error: NamespaceError) =>
      wrapped(error, Code.invalidNetns, "NoSuchSandbox", "the runtime has to make it before ADD"),
  ],
  [
    NetlinkError,
    (error: NetlinkError) =>
      wrapped(error, Code.kernelRefused, "KernelRefused", ADVICE[error.code] ?? SEE_KERNEL),
  ],
  [
    SysctlError,
    (error: SysctlError) =>
      wrapped(error, Code.kernelRefused, "KernelRefused", ADVICE[error.code] ?? SEE_KERNEL),
  ],
  [
    SystemError,
    (error: SystemError) =>
      wrapped(error, Code.kernelRefused, "KernelRefused", ADVICE[error.code] ?? SEE_KERNEL),
  ],
  [
    DelegateError,
    (error: DelegateError) => {
      const { answer } = error;
      if (answer) return new CniError(answer.code, "", answer.msg, answer.details, { cause: error });
      return wrapped(
        error,
        Code.delegateFailed,
        "IpamPluginFailed",
        error.isMissing
          ? "put it there, or correct ipam.type"
          : "run it by hand with the same input to see why",
      );
    },
  ],
];

const STORE_ADVICE: Readonly<Record<StoreError["code"], string>> = {
  FAILED: "see that stateDir is on a tmpfs with room that root can write",
  DAMAGED: "slash32 ipam repair makes a new one from what the kernel knows",
  FOREIGN: "run the slash32 that wrote it, or one that is newer",
};

const SEE_KERNEL = "the kernel's log may tell more (dmesg)";

/** What to do about the refusals that are met in practice. */
const ADVICE: Readonly<Record<string, string>> = {
  EEXIST: "remove what is there, or run DEL first",
  EPERM: "slash32 has to run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  EACCES: "slash32 has to run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  EROFS: "/proc/sys has to be writable",
  EOPNOTSUPP: "the kernel needs CONFIG_VETH (modprobe veth)",
  EINVAL: "see that mtu and addresses are what the kernel allows",
  EHOSTUNREACH: 'give the host a default route, or set "gatewayNeighbour": "auto"',
};

function wrapped(error: Error, code: number, reason: string, advice: string): CniError {
  return new CniError(code, reason, `${error.message}; ${advice}`, causes(error.cause), { cause: error });
}

/** A failure whose undo failed as well: the failure is what is reported, what the undo left is in the details. */
function withFailedUndo({ error, suppressed }: SuppressedError): CniError {
  const { code, reason, message, details } = toCniError(suppressed);
  const undo = toCniError(error);
  const lines = [details, `Undoing it failed too: ${undo.message}`, undo.details].filter(Boolean);
  return new CniError(code, reason, message, lines.join("\n"), { cause: error });
}

/** The chain of causes, one a line. */
function causes(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return [error.message, causes(error.cause)].filter(Boolean).join("\n");
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ");
}
