// The module bun:ffi of the executable: C functions by name, as far as this program calls any. Libraries are linked in,
// so it makes no difference which one is asked.
import { address, bind, memory, text } from "engine";

type Definition = { readonly args: readonly string[]; readonly returns: string };

/** By what a C function returns: engine.c, `enum kind`. */
const KINDS: Readonly<Record<string, number>> = { void: 0, i32: 1, u32: 2, i64: 3, ptr: 4 };

/** Bun's name for 64-bit integers that become numbers where these hold them. */
export const FFIType = { i64_fast: "i64" };

export function dlopen(_library: string, definitions: Readonly<Record<string, Definition>>) {
  const symbols: Record<string, ReturnType<typeof bind>> = {};
  for (const [name, { returns }] of Object.entries(definitions)) {
    const kind = KINDS[returns];
    if (kind === undefined) throw new TypeError(`Cannot call ${name}: it returns ${returns}`);
    symbols[name] = bind(name, kind);
  }
  return { symbols };
}

/** Good as long as the array is kept by who asks, and for the call that it is made for. */
export const ptr = address;

export const read = {
  i32: (at: number): number => new Int32Array(memory(at, 4))[0] as number,
};

export function toArrayBuffer(at: number, _offset: 0, length: number): ArrayBuffer {
  return memory(at, length);
}

/** `String()` of it is the text. */
export class CString {
  readonly #text: string;

  constructor(at: number) {
    this.#text = text(at);
  }

  toString(): string {
    return this.#text;
  }
}
