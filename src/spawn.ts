// Other programs: started, bounded in time and in what they say, and never left behind. Nothing here waits for an end of
// file: a grandchild that was left running keeps a pipe open for as long as it lives.
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { concat } from "./bytes.ts";
import { O_NONBLOCK, O_RDONLY, openFile, writeText } from "./files.ts";
import { checked, close, cString, pollReadable, readBytes, SystemError, textAt } from "./libc.ts";

// include/uapi/asm-generic/fcntl.h
const O_CLOEXEC = 0o2000000;
const F_SETFL = 4;
// include/uapi/linux/memfd.h, fs.h
const MFD_CLOEXEC = 1;
const SEEK_SET = 0;
// spawn.h
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
// include/uapi/asm-generic/signal.h
const SIGKILL = 9;

// `sigset_t`: whatever is blocked or ignored here, a program begins with nothing of the kind.
const NO_SIGNALS = new BigUint64Array(16);
const ALL_SIGNALS = new BigUint64Array(16).fill(0xffff_ffff_ffff_ffffn);

const SPAWN_FLAGS = POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;

const CHUNK_BYTES = 1 << 16;

const { symbols: libc } = dlopen("libc.so.6", {
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  lseek: { args: ["i32", "i64", "i32"], returns: FFIType.i64_fast },
  posix_spawn: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
  posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_init: { args: ["ptr"], returns: "i32" },
  posix_spawnattr_setflags: { args: ["ptr", "i32"], returns: "i32" },
  posix_spawnattr_setsigdefault: { args: ["ptr", "ptr"], returns: "i32" },
  posix_spawnattr_setsigmask: { args: ["ptr", "ptr"], returns: "i32" },
  posix_spawnattr_destroy: { args: ["ptr"], returns: "i32" },
  pidfd_open: { args: ["i32", "u32"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  sigabbrev_np: { args: ["i32"], returns: "ptr" },
});

export interface Program {
  /** Its path first, then its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What it reads; nothing if nothing is said. */
  readonly input?: string;
  /** Then it is killed, with all that it has started. */
  readonly timeoutMs: number;
  /** Of ours, under the same number; above 2. None if nothing is said. */
  readonly inherited?: number | undefined;
  /** Of each of its outputs; who says more waits until it is killed. */
  readonly longestOutputBytes: number;
}

export interface Ended {
  /** The status it left with; absent when a signal ended it. */
  readonly exitCode?: number;
  /** "SIGSEGV": what ended it. */
  readonly signal?: string;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end, in the calling thread's network namespace, as the leader of a session of its own. Throws a
 * SystemError when it cannot be started. What it leaves running has none of our descriptors but the one it inherits.
 */
export function run(program: Program): Ended {
  const { command, environment, input, timeoutMs, inherited, longestOutputBytes } = program;
  using stdin = inputFile(input);
  using stdout = new Output(longestOutputBytes);
  using stderr = new Output(longestOutputBytes);
  const pid = start(command, environment, [stdin.fd, stdout.writeEnd, stderr.writeEnd], inherited);
  let timedOut = true; // also where nobody can tell any more
  let end: ReturnType<typeof waitFor>;
  try {
    timedOut = !hasEnded(pid, [stdout, stderr], timeoutMs);
  } finally {
    if (timedOut) kill(-pid);
    end = waitFor(pid);
  }
  for (const output of [stdout, stderr]) output.readOn();
  return { ...end, timedOut, stdout: stdout.text, stderr: stderr.text };
}

/** Reads what it says until it has ended; false when the time is over. */
function hasEnded(pid: number, outputs: readonly Output[], timeoutMs: number): boolean {
  const end = checked("pidfd_open", () => libc.pidfd_open(pid, 0));
  try {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) return false;
      const open = outputs.filter(({ isFull }) => !isFull);
      const ready = pollReadable([end, ...open.map(({ readEnd }) => readEnd)], left);
      if (ready.includes(end)) return true;
      for (const output of open) if (ready.includes(output.readEnd)) output.readOn();
    }
  } finally {
    close(end);
  }
}

/** A pipe for what a program says. */
class Output implements Disposable {
  readonly readEnd: number;
  /** For the program. */
  readonly writeEnd: number;
  readonly #longest: number;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(longest: number) {
    const ends = new Int32Array(2);
    checked("pipe", () => libc.pipe2(ptr(ends), O_CLOEXEC));
    [this.readEnd, this.writeEnd] = ends as unknown as [number, number];
    checked("fcntl", () => libc.fcntl(this.readEnd, F_SETFL, O_NONBLOCK));
    this.#longest = longest;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#longest;
  }

  /** Takes what was written so far. Does not wait. */
  readOn(): void {
    while (!this.isFull) {
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, this.#longest - this.#bytes));
      const length = this.#readSome(chunk);
      if (length === 0) return;
      this.#chunks.push(chunk.subarray(0, length));
      this.#bytes += length;
    }
  }

  get text(): string {
    return new TextDecoder().decode(concat(this.#chunks));
  }

  #readSome(chunk: Uint8Array): number {
    try {
      return readBytes(this.readEnd, chunk);
    } catch (error) {
      if (error instanceof SystemError && error.code === "EAGAIN") return 0; // empty, for now
      throw error;
    }
  }

  [Symbol.dispose](): void {
    close(this.readEnd);
    close(this.writeEnd);
  }
}

/** A file without a name that holds the text, to be read from its beginning; or one that holds nothing. */
function inputFile(text: string | undefined): Disposable & { readonly fd: number } {
  const name = cString("input", "memfd_create");
  const fd =
    text === undefined
      ? openFile("/dev/null", O_RDONLY)
      : checked("memfd_create", () => libc.memfd_create(ptr(name), MFD_CLOEXEC));
  const file = { fd, [Symbol.dispose]: () => close(fd) };
  if (text === undefined) return file;
  using undo = new DisposableStack();
  undo.use(file);
  writeText(fd, text);
  checked("lseek", () => libc.lseek(fd, 0, SEEK_SET));
  undo.move();
  return file;
}

/** posix_spawn(3) with these descriptors as 0, 1 and 2, the inherited one, and no others. Returns the process ID. */
function start(
  command: Program["command"],
  environment: Program["environment"],
  descriptors: readonly [number, number, number],
  inherited: number | undefined,
): number {
  const call = `start ${command[0]}`;
  const pairs = Object.entries(environment).filter(([, value]) => value !== undefined);
  const path = cString(command[0], call);
  const [argv, envp] = [
    strings(command, call),
    strings(
      pairs.map(([name, value]) => `${name}=${value}`),
      call,
    ),
  ];
  // Larger than either structure on any architecture, and aligned as they are.
  const [actions, attributes] = [new BigUint64Array(64), new BigUint64Array(64)];
  const pid = new Int32Array(1);
  libc.posix_spawn_file_actions_init(ptr(actions));
  libc.posix_spawnattr_init(ptr(attributes));
  libc.posix_spawnattr_setflags(ptr(attributes), SPAWN_FLAGS);
  libc.posix_spawnattr_setsigdefault(ptr(attributes), ptr(ALL_SIGNALS));
  libc.posix_spawnattr_setsigmask(ptr(attributes), ptr(NO_SIGNALS));
  for (const [at, fd] of descriptors.entries()) libc.posix_spawn_file_actions_adddup2(ptr(actions), fd, at);
  // Onto itself it is left open (glibc 2.29).
  if (inherited !== undefined) libc.posix_spawn_file_actions_adddup2(ptr(actions), inherited, inherited);
  const errno = libc.posix_spawn(
    ...([ptr(pid), ptr(path), ptr(actions), ptr(attributes)] as const),
    ...([ptr(argv.pointers), ptr(envp.pointers)] as const),
  );
  libc.posix_spawn_file_actions_destroy(ptr(actions));
  libc.posix_spawnattr_destroy(ptr(attributes));
  if (errno !== 0) throw new SystemError(call, errno);
  return pid[0] as number;
}

/** An array of C strings that ends with a null; to be kept with what it points to. */
function strings(texts: readonly string[], call: string) {
  const kept = texts.map((text) => cString(text, call));
  const pointers = new BigUint64Array(kept.length + 1);
  kept.forEach((string, at) => {
    pointers[at] = BigInt(ptr(string));
  });
  return { kept, pointers };
}

/** Those of a session that are left; there may be none. */
function kill(pid: number): void {
  libc.kill(pid, SIGKILL);
}

/** waitpid(2), WIFEXITED and WEXITSTATUS. */
function waitFor(pid: number): Pick<Ended, "exitCode" | "signal"> {
  const status = new Int32Array(1);
  checked("waitpid", () => libc.waitpid(pid, ptr(status), 0));
  const [word = 0] = status;
  if ((word & 0x7f) === 0) return { exitCode: (word >> 8) & 0xff };
  return { signal: `SIG${textAt(libc.sigabbrev_np(word & 0x7f) as Pointer)}` };
}
