import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { errnoName } from "../src/errno.ts";
import {
  assertRoom,
  findStatus,
  findText,
  O_APPEND,
  O_CREAT,
  O_WRONLY,
  readText,
  statusOf,
  withFile,
  writeText,
} from "../src/files.ts";
import { SystemError } from "../src/libc.ts";
import { thrown } from "./helpers/thrown.ts";

const directory = mkdtempSync(join(tmpdir(), "files-"));
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

test("a text longer than any buffer is read and written whole, letter for letter", () => {
  const text = `\ufeff${"ü€😀".repeat(20_000)}`;
  withFile(at("long"), O_WRONLY | O_CREAT, (fd) => writeText(fd, text));
  expect(readFileSync(at("long"), "utf8")).toBe(text);
  expect(readText(at("long"))).toBe(text);
});

test("what is not there is undefined to find, and a SystemError to read", () => {
  writeFileSync(at("plain"), "");
  for (const path of [at("none"), at("plain/below")]) {
    expect([findText(path), findStatus(path)]).toEqual([undefined, undefined]);
    expect(thrown(() => readText(path))).toBeInstanceOf(SystemError);
  }
  expect(thrown(() => readText(at("none")))).toMatchObject({
    code: "ENOENT",
    message: `Cannot open ${at("none")}: No such file or directory`,
  });
});

test("a file is made for its owner alone, and appended to", () => {
  for (const text of ["a", "b"]) {
    withFile(at("log"), O_WRONLY | O_APPEND | O_CREAT, (fd) => writeText(fd, text));
  }
  expect(readFileSync(at("log"), "utf8")).toBe("ab");
  expect(statSync(at("log")).mode & 0o777).toBe(0o600);
});

test("a path is never cut at a NUL", () => {
  writeFileSync(at("short"), "");
  expect(thrown(() => findStatus(`${at("short")}\0.bak`))).toMatchObject({ code: "EINVAL" });
});

test("two ways to one file have one identity, another file has another", () => {
  writeFileSync(at("one"), "four");
  writeFileSync(at("two"), "");
  const opened = withFile(at("one"), 0, statusOf);
  expect(opened).toEqual(statusOf(at("./one")));
  expect(opened.bytes).toBe(4);
  expect(opened.identity).not.toBe(statusOf(at("two")).identity);
});

test("there is room in a directory, and none in a file", () => {
  assertRoom(directory);
  expect(thrown(() => assertRoom(at("plain")))).toBeInstanceOf(SystemError);
});

test("errors are called what Node calls them", () => {
  const { ENOTSUP: _, ...names } = constants.errno; // the kernel's own name for that number is EOPNOTSUPP
  for (const [name, errno] of Object.entries(names)) {
    if (name !== "EWOULDBLOCK") expect(errnoName(errno)).toBe(name);
  }
  expect([errnoName(0), errnoName(41), errnoName(4000)]).toEqual(["errno 0", "errno 41", "errno 4000"]);
});
