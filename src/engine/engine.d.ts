// The module that engine.c makes.
declare module "engine" {
  /** What the program was called with, its own name first. */
  export const argv: readonly string[];
  export function environment(): Record<string, string>;
  export function exit(status: number): never;
  /** A function that calls the C function of that name. Throws a ReferenceError for one that is not linked in. */
  export function bind(name: string, kind: number): (...values: readonly unknown[]) => unknown;
  /** Where an array's memory is: as long as the array is kept, and for the call after. */
  export function address(array: ArrayBufferView): number;
  /** A buffer over memory that is somebody else's. */
  export function memory(address: number, length: number): ArrayBuffer;
  /** Of a C string. */
  export function text(address: number): string;
  export function encode(text: string): ArrayBuffer;
  export function decode(array: ArrayBufferView): string;
}
