// What `npm run test:kernels` makes of what its guests print: nothing passes for success but success.
import { expect, test } from "vitest";
import { Report, table } from "../scripts/kernels/report.ts";

const GOOD = [
  "up: 6.1.0-56-amd64",
  " ✓ test/x.test.ts (3 tests) 12ms",
  "3 passed, 0 failed",
  "exit status: 0",
];

function heard(...lines: readonly string[]): Report {
  const report = new Report("6.1", "test/x/");
  for (const line of lines) report.hear(line);
  return report;
}

test("a guest whose tests all passed is good, and tells what it was", () => {
  expect(heard(...GOOD)).toMatchObject({
    isGood: true,
    isComplete: true,
    release: "6.1.0-56-amd64",
    passed: 3,
  });
});

test.each([
  { what: "never came up", lines: [] },
  { what: "went off amid its tests", lines: GOOD.slice(0, 2) },
  { what: "went off at their end", lines: GOOD.slice(0, 3) },
  { what: "had no tests", lines: ["0 passed, 0 failed", "exit status: 0"] },
  { what: "had a test that failed", lines: ["2 passed, 1 failed, 1 skipped", "exit status: 1"] },
  { what: "had tests that ended in another way", lines: ["3 passed, 0 failed", "exit status: 139"] },
])("a guest that $what is not", ({ lines }) => {
  expect(heard(...lines).isGood).toBe(false);
});

test("a line tells whose it is and when it came", () => {
  expect(new Report("6.12", "test/x/").hear("3 passed, 0 failed")).toBe(
    "6.12 test/x/    0 s  3 passed, 0 failed",
  );
});

test("the table has a line for each guest", () => {
  const reports = [
    heard(...GOOD),
    heard("up: 6.1.0-56-amd64", "12 passed, 1 failed, 4 skipped", "exit status: 1"),
  ];
  expect(table(reports).split("\n")).toEqual([
    "machine  kernel          tests    passed  failed  skipped  seconds",
    "6.1      6.1.0-56-amd64  test/x/       3       0        0        0",
    "6.1      6.1.0-56-amd64  test/x/      12       1        4        0  exit status 1",
  ]);
});
