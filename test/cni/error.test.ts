import { expect, test } from "vitest";
import { CniError, Code, errorObject, toCniError } from "../../src/cni/error.ts";
import { NetlinkError } from "../../src/datapath/netlink/error.ts";
import { NamespaceError } from "../../src/datapath/netns.ts";
import { SysctlError } from "../../src/datapath/sysctl.ts";
import { StoreError } from "../../src/ipam/database.ts";
import { DelegateError } from "../../src/ipam/delegate.ts";
import { LeaseError } from "../../src/ipam/lease.ts";
import { SystemError } from "../../src/libc.ts";
import { assertValid } from "../helpers/schema.ts";
import { thrown } from "../helpers/thrown.ts";

const EPERM = 1;
const EIO = 5;
const EROFS = 30;
const EOPNOTSUPP = 95;

const REFUSED = new NetlinkError("ip link add a", "EEXIST", "File exists");
const EXHAUSTED = new LeaseError(
  "EXHAUSTED",
  "Cannot lease an address from 10.20.1.0/24: all 253 are in use",
);

// For people: the reason as one word to search for, what was tried, why not, and what to do about it.
test.each<[Error, number, string]>([
  [
    EXHAUSTED,
    100,
    "NoFreeAddress: Cannot lease an address from 10.20.1.0/24: all 253 are in use; delete pods, or add a range to the configuration",
  ],
  [
    new LeaseError("UNAVAILABLE", "Cannot lease 10.20.1.7: held"),
    101,
    "AddressUnavailable: Cannot lease 10.20.1.7: held; ask for another, or for none",
  ],
  [REFUSED, 102, "KernelRefused: Cannot ip link add a: File exists; remove what is there, or run DEL first"],
  [
    new SysctlError("echo 1 > /proc/sys/a", "a", new SystemError("open /proc/sys/a", EROFS)),
    102,
    "KernelRefused: Cannot echo 1 > /proc/sys/a: Read-only file system; /proc/sys has to be writable",
  ],
  [
    new SystemError("setns", EPERM),
    102,
    "KernelRefused: Cannot setns: Operation not permitted; slash32 has to run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  ],
  [
    new SystemError("socket", EOPNOTSUPP),
    102,
    "KernelRefused: Cannot socket: Operation not supported; the kernel needs CONFIG_VETH (modprobe veth)",
  ],
  [
    new SystemError("recv", EIO),
    102,
    "KernelRefused: Cannot recv: Input/output error; the kernel's log may tell more (dmesg)",
  ],
  [
    new StoreError("Cannot write the store in /run/x: disk full"),
    103,
    "StoreFailed: Cannot write the store in /run/x: disk full; see that stateDir is on a tmpfs with room that root can write",
  ],
  [
    new NamespaceError("/run/netns/x", "ENOENT", "no such file"),
    8,
    'NoSuchSandbox: Cannot open network namespace "/run/netns/x": no such file; the runtime has to make it before ADD',
  ],
  [
    new DelegateError("Cannot run x: gone"),
    105,
    "IpamPluginFailed: Cannot run x: gone; run it by hand with the same input to see why",
  ],
  [
    new DelegateError("Cannot find x: it is not in CNI_PATH (/opt)", undefined, { isMissing: true }),
    105,
    "IpamPluginFailed: Cannot find x: it is not in CNI_PATH (/opt); put it there, or correct ipam.type",
  ],
])("%s has a code and a remedy of its own", (error, code, msg) => {
  const answer = errorObject(error, "1.1.0");
  expect(answer).toMatchObject({ cniVersion: "1.1.0", code, msg });
  assertValid("error", answer);
});

test("another plugin's own error object is passed on as it is", () => {
  const error = new DelegateError("Cannot run x: no", { code: 11, msg: "try again", details: "later" });
  expect(errorObject(error, "1.0.0")).toEqual({
    cniVersion: "1.0.0",
    code: 11,
    msg: "try again",
    details: "later",
  });
  const silent = new DelegateError("Cannot run x: no", { code: 50, msg: "not ready" });
  expect(errorObject(silent, "1.1.0")).toEqual({ cniVersion: "1.1.0", code: 50, msg: "not ready" });
});

test("a CniError goes to the runtime as it is", () => {
  const error = new CniError(Code.invalidConfig, "InvalidConfig", "Cannot use it", "line 1\nline 2");
  expect(toCniError(error)).toBe(error);
  expect(errorObject(error, "0.4.0")).toEqual({
    cniVersion: "0.4.0",
    code: 7,
    msg: "InvalidConfig: Cannot use it",
    details: "line 1\nline 2",
  });
});

test.each<[unknown, string]>([
  [new TypeError("x is not a function"), "TypeError: x is not a function"],
  ["a string", "a string"],
  [undefined, "undefined"],
  [null, "null"],
  [{ code: 7 }, "[object Object]"],
])("what nobody foresaw (%s) is code 999 and says so", (error, words) => {
  const answer = errorObject(error, "1.1.0");
  expect(answer).toEqual({
    cniVersion: "1.1.0",
    code: 999,
    msg: `InternalError: ${words}; this is a bug in slash32, please report it`,
  });
  assertValid("error", answer);
});

test("the message is one line, whatever the error's was", () => {
  const { msg } = errorObject(new CniError(7, "InvalidConfig", "a\n  b\r\nc\rd"), "1.1.0");
  expect(msg).toBe("InvalidConfig: a b c d");
});

test("no stack trace reaches the runtime", () => {
  for (const error of [REFUSED, new TypeError("x"), new StoreError("y", { cause: new Error("z") })]) {
    expect(JSON.stringify(errorObject(error, "1.1.0"))).not.toMatch(/\bat .*\.ts|error\.test/);
  }
});

test("the causes are in the details, one a line", () => {
  const cause = new Error("disk I/O error", { cause: new Error("No space left on device") });
  expect(errorObject(new StoreError("Cannot write the store", { cause }), "1.1.0").details).toBe(
    "disk I/O error\nNo space left on device",
  );
});

test("the original error stays reachable as the cause", () => {
  expect(toCniError(REFUSED).cause).toBe(REFUSED);
});

/** As `using` does it: the work fails, then every undo, the last registered first. */
function failing(work: unknown, ...undos: unknown[]): Error {
  return thrown(() => {
    using undo = new DisposableStack();
    for (const error of undos) {
      undo.defer(() => {
        throw error;
      });
    }
    throw work;
  });
}

test("when the undo fails as well, the failure decides code and message, and the details tell of the undo", () => {
  const undo = new NetlinkError("ip link delete a", "EPERM", "Operation not permitted");
  const error = failing(EXHAUSTED, undo);
  expect(error).toBeInstanceOf(SuppressedError);
  const answer = errorObject(error, "1.1.0");
  expect(answer).toMatchObject({ code: 100, msg: errorObject(EXHAUSTED, "1.1.0").msg });
  expect(answer.details).toBe(`Undoing it failed too: ${toCniError(undo).message}`);
  assertValid("error", answer);
});

test("of several undos that fail none is lost, and the first failure still decides", () => {
  const answer = errorObject(failing(REFUSED, new StoreError("store"), new TypeError("bug")), "1.1.0");
  expect(answer).toMatchObject({
    code: 102,
    msg: expect.stringContaining("Cannot ip link add a: File exists"),
  });
  const lines = answer.details?.split("\n") ?? [];
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^Undoing it failed too: TypeError: bug/);
  expect(lines[1]).toMatch(/^Undoing it failed too: store/);
});

test("the failure's own details come first", () => {
  const work = new CniError(7, "InvalidConfig", "Cannot use it", "all mistakes");
  expect(errorObject(failing(work, new Error("undo")), "1.1.0").details).toMatch(
    /^all mistakes\nUndoing it failed too: Error: undo/,
  );
});

test("an undo that itself failed twice is told whole", () => {
  const inner = failing(new NetlinkError("ip link delete a", "EBUSY", "busy"), new SystemError("close", EIO));
  const { code, details = "" } = errorObject(failing(EXHAUSTED, inner), "1.1.0");
  expect(code).toBe(100);
  expect(details.split("\n").map((line) => line.replace(/;.*/, ""))).toEqual([
    "Undoing it failed too: Cannot ip link delete a: busy",
    "Undoing it failed too: Cannot close: Input/output error",
  ]);
});

test("when only undos fail, the first of them decides", () => {
  const error = thrown(() => {
    using undo = new DisposableStack();
    undo.defer(() => {
      throw REFUSED;
    });
    undo.defer(() => {
      throw EXHAUSTED;
    });
  });
  expect(errorObject(error, "1.1.0").code).toBe(100);
});
