// Every fault of this directory is named first, as its header announces, and what is offered against it mends it.
import { describe, expect, test, vi } from "vitest";
import { FaultBench } from "./bench.ts";
import { type Fault, fits, readFaults } from "./fault.ts";

const FAULTS = readFaults();

test("there are thirty of them at the least, and no two announce the same", () => {
  expect(FAULTS.length).toBeGreaterThanOrEqual(30);
  expect(new Set(FAULTS.map(({ asked, says }) => `${asked}: ${says}`)).size).toBe(FAULTS.length);
});

// Under load: a dozen commands, and a node for each fault.
vi.setConfig({ testTimeout: 90_000 });

test("a node without a fault is told to be well by every command that is asked here", () => {
  using bench = new FaultBench();
  const asked = FAULTS.map((fault) => fault.asked).filter((command) => !/DISK|:8080/.test(command));
  for (const command of new Set(asked)) {
    expect({ command, ...bench.ask(command) }).toMatchObject({ command, exitCode: 0, mends: [] });
  }
});

describe("named first, and mended by what is offered:", () => {
  test.each(FAULTS)("$name", (fault) => {
    using bench = broken(fault);
    const { first, mends } = bench.ask(fault.asked);
    if (!isRepair(fault)) {
      expect(first?.mend).toSatisfy((words: string) => fits(fault.mend, words), `offers: ${first?.mend}`);
    }
    if (fault.isByHand) return;
    if (isCheck(fault)) for (const mend of mends) bench.type(mend);
    else if (isRepair(fault)) bench.ask(fault.mend);
    else bench.type(first?.mend ?? "");
    expect(bench.ask(fault.asked)).toEqual({ exitCode: 0, first: undefined, mends: [] });
  });
});

describe("check --repair does the same:", () => {
  test.each(FAULTS.filter((fault) => isCheck(fault) && !fault.isByHand))("$name", (fault) => {
    using bench = broken(fault);
    expect(bench.ask(`${fault.asked} --repair`)).toMatchObject({ exitCode: 0, mends: [] });
    expect(bench.ask(fault.asked)).toMatchObject({ exitCode: 0, mends: [] });
  });

  test.each(FAULTS.filter((fault) => isCheck(fault) && fault.isByHand))("and leaves $name", (fault) => {
    using bench = broken(fault);
    expect(bench.ask(`${fault.asked} --repair`)).toMatchObject({ exitCode: 1 });
    expect(bench.ask(fault.asked).first?.says).toSatisfy((words: string) => fits(fault.says, words));
  });
});

/** A node with the fault, which is named first. */
function broken({ path, asked, says }: Fault): FaultBench {
  using undo = new DisposableStack();
  const bench = undo.use(new FaultBench());
  bench.run(path);
  const { first, exitCode } = bench.ask(asked);
  expect(first?.says).toSatisfy((words: string) => fits(says, words), `says: ${first?.says}`);
  // Of warnings alone doctor tells, and ends with 0.
  if (!asked.startsWith("slash32 doctor")) expect(exitCode).toBe(1);
  undo.move();
  return bench;
}

/** What takes several steps, or one that no command stands for, is repaired as a whole. */
function isRepair({ asked, mend }: Fault): boolean {
  return mend.endsWith(" --repair") || (asked === "slash32 ipam check" && mend === "slash32 ipam repair");
}

function isCheck({ asked }: Fault): boolean {
  return asked.startsWith("slash32 check ");
}
