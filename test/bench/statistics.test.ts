import { expect, test } from "vitest";
import { judge, percentile99, ratios, summarize } from "./statistics.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

test("the middle, the quartiles, and where the true median lies in 19 of 20 cases", () => {
  // The ranks that any table of the sign test has for 25 samples: the 8th and the 18th.
  expect(summarize(upTo(25))).toEqual({
    median: 13,
    lowerQuartile: 7,
    upperQuartile: 19,
    low: 8,
    high: 18,
    count: 25,
  });
});

test("few samples are not trusted: all of them are in the interval", () => {
  expect(summarize([3, 1, 2])).toMatchObject({ median: 2, low: 1, high: 3 });
  expect(summarize([7])).toMatchObject({ median: 7, low: 7, high: 7 });
});

test("a ratio is of one round: what slows both down cancels out", () => {
  expect(ratios([1, 10, 3], [2, 20, 6])).toEqual([0.5, 0.5, 0.5]);
  expect(() => ratios([1], [])).toThrow("the rounds are not pairs");
});

test("99 of 100 took no longer", () => {
  expect(percentile99(upTo(100).toReversed())).toBe(99);
});

test.for([
  { low: 0.6, median: 0.7, high: 0.8, verdict: "aim reached" },
  { low: 0.7, median: 0.8, high: 0.9, verdict: "met" },
  { low: 0.8, median: 0.85, high: 0.95, verdict: "too noisy to tell" },
  { low: 0.95, median: 1, high: 1.1, verdict: "missed" },
])("at most 0.9, better 0.75: $low to $high is $verdict", ({ verdict, ...found }) => {
  const summary = { ...found, lowerQuartile: 0, upperQuartile: 2, count: 60 };
  expect(judge(summary, { kind: "most", must: 0.9, aim: 0.75 })).toBe(verdict);
});

test("at least 0.98: the other way round", () => {
  const summary = { low: 0.97, median: 1, high: 1.01, lowerQuartile: 0, upperQuartile: 2, count: 60 };
  expect(judge(summary, { kind: "least", must: 0.98, aim: 1 })).toBe("too noisy to tell");
  expect(judge({ ...summary, low: 0.98 }, { kind: "least", must: 0.98, aim: 1 })).toBe("aim reached");
});
