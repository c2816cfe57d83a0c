import { spawn } from "node:child_process";
import { defineConfig } from "vitest/config";
import { patient } from "./test/helpers/patience.ts";
import { KindReporter } from "./test/reporter.ts";

completeChannels();

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process each: a test file that enters a network namespace cannot leave another file standing in it.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: patient(30_000),
    hookTimeout: patient(30_000),
    slowTestThreshold: patient(300),
    reporters: ["default", new KindReporter()],
  },
});

/**
 * In Bun 1.4 the channel to a forked process has no `ref` and `unref`, and vitest calls `unref` on one
 * (https://github.com/oven-sh/bun/issues/33593). Empty ones will do, as vitest ends with `process.exit`.
 */
function completeChannels(): void {
  const { channel } = spawn("true", { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  if (channel && !channel.unref) Object.assign(Object.getPrototypeOf(channel), { ref() {}, unref() {} });
}
