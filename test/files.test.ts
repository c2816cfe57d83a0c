import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { absolutePath, listDirectory, makeDirectories, readLink, renameFile } from "../src/directories.ts";
import { errnoName } from "../src/errno.ts";
import {
  assertRoom,
  fileSystemOf,
  findStatus,
  findText,
  isExecutable,
  O_APPEND,
  O_CREAT,
  O_WRONLY,
  readText,
  statusOf,
  withFile,
  writeFile,
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

test("a directory lists what Node lists, however much it is", () => {
  const many = at("many");
  mkdirSync(many);
  for (let number = 0; number < 2000; number++)
    writeFileSync(join(many, `${number}-ü-${"x".repeat(40)}`), "");
  expect(listDirectory(many).sort()).toEqual(readdirSync(many).sort());
  expect(thrown(() => listDirectory(at("plain")))).toMatchObject({ code: "ENOTDIR" });
  expect(thrown(() => listDirectory(at("none")))).toMatchObject({ code: "ENOENT" });
});

test("directories are made with those they lie in, and may be there", () => {
  for (const _ of ["first", "again"]) makeDirectories(at("a/b/c"), 0o700);
  expect(["a", "a/b", "a/b/c"].map((path) => statSync(at(path)).mode & 0o777)).toEqual([0o700, 0o700, 0o700]);
  expect(thrown(() => makeDirectories(at("plain/below"), 0o700))).toMatchObject({ code: "ENOTDIR" });
  expect(thrown(() => makeDirectories(at("plain"), 0o700))).toMatchObject({ code: "EEXIST" });
  expect(thrown(() => makeDirectories("/proc/none/below", 0o700))).toMatchObject({ code: "ENOENT" });
});

test("a file is written anew, takes another's place, and is told by its kind, mode and owner", () => {
  writeFile(at("new"), "a longer text");
  writeFile(at("new"), "text");
  renameFile(at("new"), at("renamed"));
  expect(readFileSync(at("renamed"), "utf8")).toBe("text");
  chmodSync(at("renamed"), 0o751);
  symlinkSync("renamed", at("link"));
  const { uid, ino, dev } = statSync(at("renamed"));
  const status = statusOf(at("link"));
  expect(status).toMatchObject({ kind: "file", mode: 0o751, uid, bytes: 4 });
  expect(status.identity.split(":").at(-1)).toBe(String(ino));
  expect(dev).toBeGreaterThan(0);
  expect([statusOf(directory).kind, statusOf("/dev/null").kind]).toEqual(["directory", "other"]);
  expect(readLink(at("link"))).toBe("renamed");
  expect([at("link"), at("plain"), directory, at("none")].map(isExecutable)).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

test("a path without a beginning is taken from where we are", () => {
  expect(absolutePath("a/../b")).toBe(join(process.cwd(), "b"));
  expect(absolutePath("/a/./b")).toBe("/a/b");
});

test("a file system tells what it is, and its room", () => {
  const { magic, free, isFull } = fileSystemOf("/dev/shm");
  expect({ magic, isFull }).toEqual({ magic: 0x01021994, isFull: false }); // TMPFS_MAGIC
  expect(free).toBeGreaterThan(0);
  expect(fileSystemOf("/proc")).toMatchObject({ magic: 0x9fa0, free: 0 }); // PROC_SUPER_MAGIC
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
