// A pipe for what a program says, read when the program has ended, whoever else still holds the other end.
import { close, pipe, readBytes, SystemError } from "./libc.ts";

/**
 * Nobody waits for an end of file: a grandchild that was left running keeps a pipe open for as long as it lives. What
 * does not fit into the pipe makes its writer wait. The opener disposes of it.
 */
export class Pipe implements Disposable {
  /** For the program to write to. */
  readonly writeEnd: number;
  readonly #readEnd: number;

  constructor(bytes: number) {
    const { readEnd, writeEnd } = pipe(bytes);
    this.#readEnd = readEnd;
    this.writeEnd = writeEnd;
  }

  /** All that was written so far. Does not wait. */
  read(): Buffer {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.alloc(1 << 16);
      const length = this.#readSome(chunk);
      if (length === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, length));
    }
  }

  #readSome(chunk: Buffer): number {
    try {
      return readBytes(this.#readEnd, chunk);
    } catch (error) {
      if (error instanceof SystemError && error.code === "EAGAIN") return 0; // empty, for now
      throw error;
    }
  }

  [Symbol.dispose](): void {
    close(this.#readEnd);
    close(this.writeEnd);
  }
}
