// What commands for people have in common.
import { expect, test } from "vitest";
import { readArguments, readOptions, UsageError, wordsOf } from "../../src/cli/command.ts";
import { thrown } from "../helpers/thrown.ts";

test("an error that came on the way out of another hides neither", () => {
  const failing = () => {
    using undo = new DisposableStack();
    undo.defer(() => {
      throw new Error("Cannot undo: busy");
    });
    undo.defer(() => {
      throw new Error("Cannot close: gone");
    });
    throw new Error("Cannot begin: no room");
  };
  expect(wordsOf(thrown(failing))).toBe(
    "Cannot begin: no room; then: Cannot close: gone; then: Cannot undo: busy",
  );
  expect(wordsOf("a text")).toBe("a text");
});

test("options are read as Node reads them, and what is none is a UsageError", () => {
  const options = {
    json: { type: "boolean" },
    "pod-cidr": { type: "string", multiple: true, short: "p" },
  } as const;
  const read = (...args: string[]) => readArguments(args, options);
  expect(read("--json", "--pod-cidr=a", "-p", "b", "--", "--c").values).toEqual({
    json: true,
    "pod-cidr": ["a", "b"],
  });
  expect(read("x", "--json", "--", "--c").positionals).toEqual(["x", "--c"]);
  for (const args of [["--nonsense"], ["--json=yes"], ["--pod-cidr"], ["-x"]]) {
    expect(thrown(() => read(...args))).toBeInstanceOf(UsageError);
  }
});

test("a command without operands refuses them in its name", () => {
  const options = { json: { type: "boolean" } } as const;
  expect(readOptions("plan", ["--json"], options)).toEqual({ json: true });
  const refusal = thrown(() => readOptions("plan", ["--json", "demo"], options));
  expect(refusal).toBeInstanceOf(UsageError);
  expect(wordsOf(refusal)).toBe('plan takes no "demo"');
});
