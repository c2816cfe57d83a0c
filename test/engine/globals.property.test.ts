// What the engine lacks and the program brings along, against what Bun has.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  DisposableStack as OurStack,
  SuppressedError as OurSuppressedError,
} from "../../src/engine/disposable.ts";
import { fromHex, toHex } from "../../src/engine/hex.ts";

test("hexadecimal digits are read and written as Bun does", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(toHex(bytes)).toBe(bytes.toHex());
      expect(fromHex(bytes.toHex().toUpperCase())).toEqual(bytes);
    }),
  );
  for (const text of ["0", "0g", "0x", " 00"]) {
    expect(() => fromHex(text)).toThrow(SyntaxError);
    expect(() => Uint8Array.fromHex(text)).toThrow(SyntaxError);
  }
});

type Stack = Pick<DisposableStack, "use" | "adopt" | "defer" | "dispose" | "disposed"> & { move(): Stack };

/** Plays the same on either, and tells what happened. */
function played(stack: Stack, plays: readonly string[], isSuppressed: (error: unknown) => boolean): string[] {
  const told: string[] = [];
  const words = (error: unknown): string => {
    if (!isSuppressed(error)) return String((error as Error).message ?? error);
    const { error: late, suppressed } = error as SuppressedError;
    return `${words(late)} over ${words(suppressed)}`;
  };
  let current = stack;
  for (const [at, play] of plays.entries()) {
    const note = () => {
      told.push(`${play} ${at}`);
      if (play.endsWith("!")) throw new Error(`${at}`);
    };
    try {
      if (play.startsWith("use")) current.use({ [Symbol.dispose]: note });
      else if (play.startsWith("adopt")) current.adopt(at, note);
      else if (play.startsWith("defer")) current.defer(note);
      else if (play === "nothing") current.use(null);
      else if (play === "move") current = current.move();
      else if (play === "dispose") current.dispose();
    } catch (error) {
      told.push(isSuppressed(error) || /^\d/.test(words(error)) ? words(error) : (error as Error).name);
    }
    told.push(String(current.disposed));
  }
  return told;
}

test("a stack of things to dispose of behaves as Bun's, whatever is thrown", () => {
  const play = fc.constantFrom(
    "use",
    "use!",
    "adopt",
    "adopt!",
    "defer",
    "defer!",
    "nothing",
    "move",
    "dispose",
  );
  fc.assert(
    fc.property(fc.array(play, { maxLength: 12 }), (plays) => {
      const ours = played(
        new OurStack() as unknown as Stack,
        plays,
        (error) => error instanceof OurSuppressedError,
      );
      const theirs = played(
        new DisposableStack() as Stack,
        plays,
        (error) => error instanceof SuppressedError,
      );
      expect(ours).toEqual(theirs);
    }),
  );
});
