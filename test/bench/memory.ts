// Peak memory: the most that was resident of each process, read in the instant before its memory goes.
//
// wait4(2) knows it too, but counts what the child shared with us before it became the plugin. So the plugin is
// traced, with all processes it starts, to be stopped on their way out (ptrace(2), PTRACE_EVENT_EXIT).
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { type Call, start } from "./launch.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  ptrace: { args: ["i64", "i32", "u64", "u64"], returns: "i64" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

// include/uapi/linux/ptrace.h
const PTRACE_CONT = 7;
const PTRACE_SEIZE = 0x4206;
const PTRACE_O_TRACEFORK = 0x2;
const PTRACE_O_TRACEVFORK = 0x4;
const PTRACE_O_TRACECLONE = 0x8;
const PTRACE_O_TRACEEXIT = 0x40;
const PTRACE_EVENT_EXIT = 6;
const WALL = 0x40000000; // include/uapi/linux/wait.h, __WALL

/** Runs a call to its end. Megabytes (10^6 bytes) by the name of the process, as a process is told by its name. */
export function peakMemory(call: Call): Record<string, number> {
  const started = start(call);
  const options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT;
  if (libc.ptrace(PTRACE_SEIZE, started.pid, 0, options) !== 0n) throw new Error("Cannot trace the plugin");
  const peaks: Record<string, number> = {};
  const status = new Int32Array(1);
  for (;;) {
    const pid = libc.waitpid(-1, ptr(status), WALL);
    const [word] = status as unknown as [number];
    if ((word & 0xff) !== 0x7f) {
      if (pid !== started.pid) continue; // another process, or a thread, has ended
      started.finish(word);
      return peaks;
    }
    const event = word >> 16;
    if (event === PTRACE_EVENT_EXIT) note(peaks, pid);
    // A signal on its way is let through; a stop of the tracing's own carries none.
    libc.ptrace(PTRACE_CONT, pid, 0, event === 0 ? (word >> 8) & 0xff : 0);
  }
}

function note(peaks: Record<string, number>, pid: number): void {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const tgid = /^Tgid:\s*(\d+)/m.exec(text)?.[1];
  const name = readFileSync(`/proc/${tgid}/comm`, "utf8").trim();
  const kilobytes = Number(/^VmHWM:\s*(\d+) kB/m.exec(text)?.[1] ?? 0);
  peaks[name] = Math.max(peaks[name] ?? 0, (kilobytes * 1024) / 1e6);
}
