import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect } from "vitest";
import { LockFile } from "../src/lock.ts";
import { start } from "./helpers/program.ts";

const test = base.extend<{ file: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the pattern to learn what a fixture needs
  file: async ({}, use) => {
    const directory = mkdtempSync(join(tmpdir(), "lock-"));
    await use(join(directory, "lock"));
    rmSync(directory, { recursive: true });
  },
});

/** Another process that has the byte, or waits for it. It is killed at the end of the block. */
class Contender implements AsyncDisposable {
  readonly #program: ReturnType<typeof start>;
  #heard = "";
  #hasEnded = false;

  constructor(file: string, byte: bigint) {
    this.#program = start("lock", file, `${byte}`);
    this.#program.stdout.on("data", (chunk) => {
      this.#heard += chunk;
    });
    this.#program.then(() => {
      this.#hasEnded = true;
    });
  }

  says(word: string): boolean {
    return this.#heard.split("\n").includes(word);
  }

  /** Until it has said so; one that ended without is an error. */
  async until(word: string): Promise<void> {
    while (!this.says(word)) {
      if (this.#hasEnded) throw new Error(`Cannot wait for "${word}": ${this.#heard}`);
      await sleep(2);
    }
  }

  /** As kill -9 does it; returns once it is gone. */
  async kill(): Promise<void> {
    this.#program.kill("SIGKILL");
    await this.#program;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

function sleep(time_ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time_ms));
}

/** Long enough for a waiting process to get what it waits for, were it to be had. */
const WHILE_MS = 150;

async function tried(file: string, byte: bigint): Promise<string> {
  const program = start("lock", file, `${byte}`, "try");
  const word = await new Promise((resolve) => program.stdout.once("data", resolve));
  program.kill("SIGKILL");
  await program;
  return String(word).trim();
}

test("a byte that one process holds is refused to every other", async ({ file }) => {
  using locks = new LockFile(file);
  using _ = locks.hold(5n);
  expect(await tried(file, 5n)).toBe("refused");
});

test("another byte of the same file is free", async ({ file }) => {
  using locks = new LockFile(file);
  using _ = locks.hold(5n);
  expect(await tried(file, 4n)).toBe("held");
  expect(await tried(file, 6n)).toBe("held");
  expect(await tried(file, (1n << 62n) + 5n)).toBe("held");
});

test("a byte that was given back can be had", async ({ file }) => {
  using locks = new LockFile(file);
  locks.hold(5n)[Symbol.dispose]();
  expect(await tried(file, 5n)).toBe("held");
});

test("giving back one byte keeps the others", async ({ file }) => {
  using locks = new LockFile(file);
  using _ = locks.hold(5n);
  locks.hold(6n)[Symbol.dispose]();
  expect(await tried(file, 5n)).toBe("refused");
});

test("closing the file gives back all its bytes", async ({ file }) => {
  {
    using locks = new LockFile(file);
    locks.hold(5n);
    locks.hold(6n);
  }
  expect(await tried(file, 5n)).toBe("held");
  expect(await tried(file, 6n)).toBe("held");
});

test("closing another description of the file keeps the byte: it is the description's, not the process's", async ({
  file,
}) => {
  using locks = new LockFile(file);
  using _ = locks.hold(5n);
  new LockFile(file)[Symbol.dispose]();
  expect(await tried(file, 5n)).toBe("refused");
});

test("two descriptions in one process exclude each other", ({ file }) => {
  using first = new LockFile(file);
  using second = new LockFile(file);
  {
    using _ = first.hold(5n);
    expect(second.tryHold(5n)).toBeUndefined();
  }
  using free = second.tryHold(5n);
  expect(free).toBeDefined();
});

test("tryHold() is undefined while another process holds the byte, and the kernel frees it at kill -9", async ({
  file,
}) => {
  await using holder = new Contender(file, 5n);
  await holder.until("held");
  using locks = new LockFile(file);
  expect(locks.tryHold(5n)).toBeUndefined();
  await holder.kill();
  using free = locks.tryHold(5n);
  expect(free).toBeDefined();
});

test("hold() waits until the holder gives back, and no longer", async ({ file }) => {
  using locks = new LockFile(file);
  const held = locks.hold(5n);
  await using waiter = new Contender(file, 5n);
  await waiter.until("waiting");
  await sleep(WHILE_MS);
  expect(waiter.says("held")).toBe(false);
  held[Symbol.dispose]();
  await waiter.until("held");
});

test("a waiter gets the byte of a holder that is killed", async ({ file }) => {
  await using holder = new Contender(file, 5n);
  await holder.until("held");
  await using waiter = new Contender(file, 5n);
  await waiter.until("waiting");
  await sleep(WHILE_MS);
  expect(waiter.says("held")).toBe(false);
  await holder.kill();
  await waiter.until("held");
});

test("the lock file is made 0600 and stays empty, however far out its bytes lie", ({ file }) => {
  using locks = new LockFile(file);
  using _ = locks.hold(1n << 62n);
  expect((statSync(file).mode & 0o7777).toString(8)).toBe("600");
  expect(statSync(file).size).toBe(0);
});
