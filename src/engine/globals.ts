// What the program takes for granted beside the language, where the engine does not have it. Evaluated before all else.
import { argv, bind, decode, encode, environment, exit, address as ptr } from "engine";
import { DisposableStack, SuppressedError } from "./disposable.ts";
import { fromHex, toHex } from "./hex.ts";

Object.assign(globalThis, {
  global: globalThis, // for packages that were made for Node
  process: {
    argv: [argv[0], ...argv], // as Bun has it: who runs, and what
    get env() {
      return environment();
    },
    exit,
  },
  performance: { now },
  TextEncoder: class {
    encode(text: string): Uint8Array {
      return new Uint8Array(encode(text.toWellFormed()));
    }
  },
  TextDecoder: class {
    decode(bytes: Uint8Array): string {
      return decode(bytes);
    }
  },
  DisposableStack,
  SuppressedError,
});

Object.assign(Uint8Array, { fromHex });
Object.assign(Uint8Array.prototype, {
  toHex(this: Uint8Array) {
    return toHex(this);
  },
});

const clockGettime = bind("clock_gettime", 1);
const CLOCK_MONOTONIC = 1; // include/uapi/linux/time.h

// `struct timespec`, each half of its two numbers by itself: seconds since the machine was started fit into one.
const time = new Uint32Array(4);

/** Milliseconds, from whenever. */
function now(): number {
  clockGettime(CLOCK_MONOTONIC, ptr(time));
  return (time[0] as number) * 1e3 + (time[2] as number) / 1e6;
}
