// Lines of many processes in one file that is put aside when it is full.
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { appendLine, journalFiles } from "../src/journal.ts";
import { start } from "./helpers/program.ts";

const FULL = 10 * 1024 * 1024;

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "slash32-journal-"));
  file = join(directory, "log");
});
afterEach(() => rmSync(directory, { recursive: true }));

const contents = () => journalFiles(file).map((path) => (existsSync(path) ? readFileSync(path, "utf8") : ""));

/** A file of that many bytes, none of which takes room on a disk. */
function filled(path: string, bytes: number): void {
  writeFileSync(path, "");
  truncateSync(path, bytes);
}

test("a line is there when it was written, for nobody else to read", () => {
  appendLine(file, "one");
  appendLine(file, "two");
  expect(contents()).toEqual(["one\ntwo\n", "", ""]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("a full file is put aside with the line that filled it, and two of those are kept", () => {
  filled(file, FULL - 10);
  appendLine(file, "not yet");
  expect(existsSync(`${file}.1`)).toBe(false);
  appendLine(file, "full");
  expect(existsSync(file)).toBe(false);
  expect(readFileSync(`${file}.1`, "utf8")).toMatch(/not yet\nfull\n$/);
  for (const round of ["second", "third"]) {
    filled(file, FULL);
    appendLine(file, round);
  }
  appendLine(file, "new");
  const [now, last, before] = contents();
  expect([now, last?.slice(-6), before?.slice(-7)]).toEqual(["new\n", "third\n", "second\n"]);
  expect(existsSync(`${file}.3`)).toBe(false);
});

test("a full file that another process has put aside already is not put aside again", async () => {
  filled(file, FULL);
  const names = ["a", "b", "c", "d", "e", "f"];
  const outcomes = await Promise.all(names.map((name) => start("append", file, name, "300")));
  expect(outcomes.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual(
    names.map(() => ({ exitCode: 0, stderr: "" })),
  );
  const [now = "", last = "", before] = contents();
  expect(before).toBe("");
  const lines = (last.replaceAll("\0", "") + now).trimEnd().split("\n");
  for (const name of names) {
    const own = lines.filter((line) => line.startsWith(`${name} `));
    expect(own.map((line) => Number(line.split(" ")[1]))).toEqual(Array.from({ length: 300 }, (_, at) => at));
    expect(own.every((line) => /^\w \d+ x{200,599}$/.test(line))).toBe(true);
  }
  expect(lines).toHaveLength(names.length * 300);
});

test.each(["mkfifo", "mkdir"])("what %s made is no place for it: an error at once", (command) => {
  Bun.spawnSync([command, file]);
  expect(() => appendLine(file, "x")).toThrow();
});

test("nor is a directory that is not there", () => {
  expect(() => appendLine(join(directory, "nowhere", "log"), "x")).toThrow(/ENOENT|No such file/);
});
