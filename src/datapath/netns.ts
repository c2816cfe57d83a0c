// Network namespaces: opening them, working inside them, coming back.
import { closeFile, nodeFiles, O_NONBLOCK, O_RDONLY, openFile, statusOf } from "../files.ts";
import { SystemError, setns, unshare } from "../libc.ts";
import { NetlinkSocket } from "./netlink/socket.ts";
import { NETLINK_ROUTE } from "./rtnetlink/family.ts";

const CLONE_NEWNET = 0x40000000; // include/uapi/linux/sched.h
const OWN = "/proc/thread-self/ns/net";

/** The thread could not come home: whatever it opens by name from then on is the sandbox's. */
let isLost = false;

/** A namespace belongs to a thread: were `work` to await, other code of ours would run in the sandbox. */
export type NotAsync<T> = T extends PromiseLike<unknown> ? never : T;

/** A path that is not, or no longer, a network namespace. `code` is errno by name. */
export class NamespaceError extends Error {
  override readonly name = "NamespaceError";
  readonly path: string;
  readonly code: string;

  constructor(path: string, code: string, reason: string, options?: ErrorOptions) {
    super(`Cannot open network namespace "${path}": ${reason}`, options);
    this.path = path;
    this.code = code;
  }
}

/** An open namespace. As long as it is open it exists, even if its path is unmounted. The opener disposes of it. */
export class Namespace implements Disposable {
  readonly path: string;
  readonly fd: number;
  /** Device and inode: two paths lead to the same namespace exactly when these are equal. */
  readonly identity: string;
  readonly #isOurs: boolean;
  #netlink: NetlinkSocket | undefined;

  private constructor(path: string, fd: number, isOurs: boolean) {
    this.path = path;
    this.fd = fd;
    this.#isOurs = isOurs;
    this.identity = statusOf(fd).identity;
  }

  /** The calling thread's own. */
  static current(): Namespace {
    return new Namespace(OWN, openFile(OWN, O_RDONLY), true);
  }

  /**
   * A new one, with nothing in it but a `lo` that is down, and without a name: it goes with its last user, links and all,
   * however that one ends. Other processes of root find it at `path` as long as it is open. Throws a SystemError.
   */
  static create(): Namespace {
    const home = openFile(OWN, O_RDONLY);
    try {
      unshare(CLONE_NEWNET, "make a network namespace");
      try {
        const fd = openFile(OWN, O_RDONLY);
        return new Namespace(`/proc/${nodeFiles().readlinkSync("/proc/self")}/fd/${fd}`, fd, false);
      } finally {
        returnTo(home);
      }
    } finally {
      closeFile(home);
    }
  }

  /** Throws a NamespaceError when the path is missing, or leads to anything but a network namespace. */
  static open(path: string): Namespace {
    let fd: number;
    try {
      // Were it a fifo, opening it would wait for a writer for ever.
      fd = openFile(path, O_RDONLY | O_NONBLOCK);
    } catch (error) {
      const { code, reason } = error as SystemError;
      throw new NamespaceError(path, code, code === "ENOENT" ? "no such file" : reason, { cause: error });
    }
    const namespace = new Namespace(path, fd, false);
    try {
      // The kernel is asked to enter a *network* namespace: it refuses any other kind, and any other file.
      namespace.inside(() => undefined);
    } catch (error) {
      closeFile(fd);
      // Anything else than EINVAL is not the path's fault: EPERM is ours.
      if (!(error instanceof SystemError) || error.code !== "EINVAL") throw error;
      throw new NamespaceError(path, error.code, "it is not a network namespace", { cause: error });
    }
    return namespace;
  }

  /**
   * Runs `work` inside and comes back, whatever happens. Where coming back fails, it throws, and so does every later
   * call: going on would configure the sandbox in the host's place. Sockets that are open stay where they belong.
   */
  inside<T>(work: () => NotAsync<T>): T {
    if (isLost)
      throw new Error("Cannot work in a network namespace: the thread is in another than it should be");
    if (this.#isOurs) return work();
    const home = openFile(OWN, O_RDONLY);
    try {
      setns(this.fd, CLONE_NEWNET);
      try {
        return work();
      } finally {
        returnTo(home);
      }
    } finally {
      closeFile(home);
    }
  }

  /** A routing socket that speaks of this namespace, from wherever it is used. Opened once. */
  get netlink(): NetlinkSocket {
    this.#netlink ??= this.inside<NetlinkSocket>(() => NetlinkSocket.open(NETLINK_ROUTE));
    return this.#netlink;
  }

  [Symbol.dispose](): void {
    this.#netlink?.[Symbol.dispose]();
    closeFile(this.fd);
  }
}

function returnTo(home: number): void {
  try {
    setns(home, CLONE_NEWNET, "return to the host's network namespace");
  } catch (error) {
    isLost = true;
    throw error;
  }
}
