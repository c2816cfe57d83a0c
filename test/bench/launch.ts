// Starts executables as a container runtime does and measures each from its start to its end, as a whole process.
//
// posix_spawn(3) and wait4(2) directly: nothing of ours runs between start and end, and the kernel itself adds up
// the CPU time of a process and of all children it waited for.
import { dlopen, ptr } from "bun:ffi";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { setns } from "../../src/libc.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  posix_spawn_file_actions_init: { args: ["ptr"], returns: "i32" },
  posix_spawn_file_actions_adddup2: { args: ["ptr", "i32", "i32"], returns: "i32" },
  posix_spawn_file_actions_destroy: { args: ["ptr"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  getrusage: { args: ["i32", "ptr"], returns: "i32" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
});

const O_CLOEXEC = 0o2000000; // include/uapi/asm-generic/fcntl.h
const CLONE_NEWNET = 0x40000000; // include/uapi/linux/sched.h
const RUSAGE_CHILDREN = -1; // include/uapi/linux/resource.h
const CLOCK_REALTIME = 0; // include/uapi/linux/time.h
/** Of posix_spawn_file_actions_t, generously: glibc's has 80. */
const FILE_ACTIONS_BYTES = 256;
/** Of struct rusage, generously: 64-bit Linux has 144. */
const RUSAGE_BYTES = 256;
/** What a pipe holds; no plugin answers more. */
const PIPE_BYTES = 65_536;

/** One start of one executable. */
export interface Call {
  readonly executable: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly stdin: string;
}

/** What it took. CPU time is user + system of the process and its children. */
export interface Run {
  /** When it was started: milliseconds since 1970, with fractions. */
  readonly startedMs: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `work` in a network namespace and comes back. What is started there stays there. */
export function inside<T>(netnsPath: string, work: () => T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  const fd = openSync(netnsPath, "r");
  try {
    setns(fd, CLONE_NEWNET);
    return work();
  } finally {
    setns(home, CLONE_NEWNET);
    closeSync(fd);
    closeSync(home);
  }
}

/** Runs one call to its end. Throws when it fails: a failure's time means nothing. */
export function run(call: Call): Run {
  const [only] = runAtOnce([call]).runs;
  return only as Run;
}

/** Starts all calls one after the other without waiting, then waits for all. `lastMs`: first start to last end. */
export function runAtOnce(calls: readonly Call[]): { runs: Run[]; lastMs: number } {
  const prepared = calls.map((call) => new Prepared(call));
  const begin = Bun.nanoseconds();
  const started = new Map(prepared.map((one) => [one.start(), one]));
  const runs = new Map<Prepared, Run>();
  let end = begin;
  while (runs.size < prepared.length) {
    const ended = waitForAny();
    end = Bun.nanoseconds();
    const one = started.get(ended.pid);
    if (one === undefined) throw new Error(`Cannot measure: process ${ended.pid} is not one of ours`);
    runs.set(one, one.finish(ended, end));
  }
  return { runs: prepared.map((one) => runs.get(one) as Run), lastMs: (end - begin) / 1e6 };
}

/** Starts a call for somebody else to wait for, who then calls `finish`. */
export function start(call: Call): { pid: number; finish: (status: number) => void } {
  const prepared = new Prepared(call);
  const pid = prepared.start();
  return { pid, finish: (status) => void prepared.finish({ pid, status, cpuMs: 0 }, 0) };
}

/** CPU time of all children, and theirs, that have ended so far. */
export function childrenCpuMs(): number {
  const usage = new BigInt64Array(RUSAGE_BYTES / 8);
  libc.getrusage(RUSAGE_CHILDREN, ptr(usage));
  return cpuMsOf(usage);
}

interface Ended {
  readonly pid: number;
  readonly status: number;
  readonly cpuMs: number;
}

function waitForAny(): Ended {
  const status = new Int32Array(1);
  const usage = new BigInt64Array(RUSAGE_BYTES / 8);
  const pid = libc.wait4(-1, ptr(status), 0, ptr(usage));
  if (pid < 0) throw new Error("Cannot measure: wait4 failed");
  return { pid, status: status[0] as number, cpuMs: cpuMsOf(usage) };
}

/** struct rusage begins with two struct timeval, user and system. */
function cpuMsOf([userS = 0n, userUs = 0n, systemS = 0n, systemUs = 0n]: BigInt64Array): number {
  return Number(userS + systemS) * 1000 + Number(userUs + systemUs) / 1000;
}

/** Everything made ready, so that starting it is one system call: the input lies in its pipe already. */
class Prepared {
  readonly #call: Call;
  readonly #path: Uint8Array;
  readonly #argv: Strings;
  readonly #environment: Strings;
  readonly #actions = new Uint8Array(FILE_ACTIONS_BYTES);
  readonly #stdout = pipe();
  readonly #stderr = pipe();
  readonly #stdin = pipe();
  #startedMs = 0;
  #startedNs = 0;

  constructor(call: Call) {
    this.#call = call;
    this.#path = bytes(call.executable);
    this.#argv = new Strings([call.executable]);
    this.#environment = new Strings(
      Object.entries(call.environment).map(([name, value]) => `${name}=${value}`),
    );
    writeSync(this.#stdin.write, call.stdin);
    closeSync(this.#stdin.write);
    libc.posix_spawn_file_actions_init(ptr(this.#actions));
    for (const [to, from] of [this.#stdin.read, this.#stdout.write, this.#stderr.write].entries()) {
      libc.posix_spawn_file_actions_adddup2(ptr(this.#actions), from, to);
    }
  }

  start(): number {
    const pid = new Int32Array(1);
    this.#startedMs = epochMs();
    this.#startedNs = Bun.nanoseconds();
    const errno = libc.posix_spawn(
      ptr(pid),
      ptr(this.#path),
      ptr(this.#actions),
      null,
      ptr(this.#argv.pointers),
      ptr(this.#environment.pointers),
    );
    if (errno !== 0) throw new Error(`Cannot start ${this.#call.executable}: errno ${errno}`);
    return pid[0] as number;
  }

  finish({ status, cpuMs }: Ended, endNs: number): Run {
    libc.posix_spawn_file_actions_destroy(ptr(this.#actions));
    closeSync(this.#stdin.read);
    const [stdout, stderr] = [this.#stdout, this.#stderr].map(drain) as [string, string];
    if (status !== 0) {
      const { executable, environment } = this.#call;
      throw new Error(`Cannot ${environment.CNI_COMMAND} with ${executable}: ${stdout}${stderr}`);
    }
    const wallMs = (endNs - this.#startedNs) / 1e6;
    return { startedMs: this.#startedMs, wallMs, cpuMs, stdout, stderr };
  }
}

/** A NULL-terminated array of C strings, kept alive together. */
class Strings {
  readonly pointers: BigUint64Array;
  readonly buffers: readonly Uint8Array[];

  constructor(texts: readonly string[]) {
    this.buffers = texts.map(bytes);
    this.pointers = new BigUint64Array([...this.buffers.map((buffer) => BigInt(ptr(buffer))), 0n]);
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** Date.now() with fractions. (performance.timeOrigin + performance.now() drifts away from it in a long run.) */
function epochMs(): number {
  const time = new BigInt64Array(2);
  libc.clock_gettime(CLOCK_REALTIME, ptr(time));
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

function pipe(): { read: number; write: number } {
  const ends = new Int32Array(2);
  if (libc.pipe2(ptr(ends), O_CLOEXEC) !== 0) throw new Error("Cannot make a pipe");
  const [read, write] = ends as unknown as [number, number];
  return { read, write };
}

function drain({ read, write }: { read: number; write: number }): string {
  closeSync(write);
  const buffer = new Uint8Array(PIPE_BYTES);
  const length = readSync(read, buffer);
  closeSync(read);
  return new TextDecoder().decode(buffer.subarray(0, length));
}
