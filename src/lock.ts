// Locks between processes: fair, without polling, and let go by the kernel when their holder dies.
import { closeFile, O_APPEND, O_CREAT, O_WRONLY, openFile, statusOf } from "./files.ts";
import { fcntlLock, SystemError } from "./libc.ts";

// include/uapi/asm-generic/fcntl.h
const F_OFD_SETLK = 37;
const F_OFD_SETLKW = 38;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * One file in which every byte is a lock of its own, so that thousands of attachments need no files.
 * The locks belong to the open file description ("OFD"): closing it, by hand or by death, frees them all.
 */
export class LockFile implements Disposable {
  readonly #fd: number;

  /** Creates the file (0600) if need be; its directory must exist. */
  constructor(path: string) {
    this.#fd = openFile(path, O_WRONLY | O_APPEND | O_CREAT);
  }

  /** Waits until the byte is ours; disposing of the answer gives it back. The kernel serves the waiters. */
  hold(byte: bigint): Disposable {
    fcntlLock(this.#fd, F_OFD_SETLKW, flock(F_WRLCK, byte));
    return this.#held(byte);
  }

  /** Like `hold`, but `undefined` at once when somebody else has the byte. */
  tryHold(byte: bigint): Disposable | undefined {
    try {
      fcntlLock(this.#fd, F_OFD_SETLK, flock(F_WRLCK, byte));
    } catch (error) {
      if (error instanceof SystemError && (error.code === "EAGAIN" || error.code === "EACCES"))
        return undefined;
      throw error;
    }
    return this.#held(byte);
  }

  /** Whoever inherits it holds the locks, too: they are free when both are dead, or one has given them back. */
  get descriptor(): number {
    return this.#fd;
  }

  /** As `statusOf` has it. */
  get identity(): string {
    return statusOf(this.#fd).identity;
  }

  #held(byte: bigint): Disposable {
    const release = () => {
      try {
        fcntlLock(this.#fd, F_OFD_SETLK, flock(F_UNLCK, byte));
      } catch {
        // What was done under it is done; closing the file lets go of it, too.
      }
    };
    return { [Symbol.dispose]: release };
  }

  [Symbol.dispose](): void {
    closeFile(this.#fd);
  }
}

/** `struct flock` of 64-bit Linux: l_type, l_whence (SEEK_SET), padding, l_start, l_len, l_pid (0 for OFD). */
function flock(type: number, start: bigint): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setBigInt64(8, start, true);
  view.setBigInt64(16, 1n, true);
  return bytes;
}
