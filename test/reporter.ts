// What a run of the tests prints below vitest's own report: the number of tests of each kind, and the counts on a
// closing line that a machine can read.
// Between them is what test files remark on their run (helpers/remark.ts).
import { basename } from "node:path";
import type { Reporter, SerializedError, TestCase, TestModule } from "vitest/node";

type State = ReturnType<TestCase["result"]>["state"];

/** The kinds of tests, told apart by their path. The first that fits counts. */
const KINDS: readonly (readonly [kind: string, path: RegExp])[] = [
  ["conformance", /^test\/conformance\//],
  ["runtime", /^test\/runtimes\//],
  ["chaining", /^test\/chaining\//],
  ["kernel", /\.netns\.test\.ts$/],
  ["codec", /^test\/datapath\/(rt)?netlink\//],
  ["property", /\.property\.test\.ts$/],
  ["unit", /./],
];

/**
 * Ends the report with the line `N passed, N failed`, followed by `, N skipped` if there are any. A test file
 * that cannot be loaded, an error outside of any test and a warning on stderr count as failed, and fail the run.
 */
export class KindReporter implements Reporter {
  #warnings = 0;

  onUserConsoleLog(log: { readonly type: "stdout" | "stderr" }): void {
    if (log.type === "stderr") this.#warnings += 1;
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: State) => tests.filter((test) => test.result().state === state).length;
    const groups = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const outside = groups.flatMap((group) => group.errors()).length + errors.length + this.#warnings;
    // A run that was interrupted leaves tests pending.
    const skipped = count("skipped") + count("pending");

    const lines = [...kindLines(modules), ...remarkLines(modules)];
    if (this.#warnings > 0) {
      lines.push(`${this.#warnings} unexpected messages on stderr, shown above`);
      process.exitCode = 1;
    }
    const closing = `${count("passed")} passed, ${count("failed") + outside} failed`;
    lines.push("", skipped > 0 ? `${closing}, ${skipped} skipped` : closing);
    // vitest's own report comes after this call; the closing line has to be the last.
    process.once("exit", () => console.log(lines.join("\n")));
  }
}

function kindLines(modules: readonly TestModule[]): string[] {
  return KINDS.flatMap(([kind]) => {
    const files = modules.filter((module) => kindOf(module.relativeModuleId) === kind);
    if (files.length === 0) return [];
    const tests = files.flatMap((file) => [...file.children.allTests()]).length;
    return [`${kind.padStart(11)} ${String(tests).padStart(5)} tests in ${files.length} files`];
  });
}

/** What test files have to say of their run. */
function remarkLines(modules: readonly TestModule[]): string[] {
  const said = modules.flatMap((module) => {
    const remarks = module.meta().remarks ?? [];
    const name = basename(module.relativeModuleId).replace(/\..*/, "");
    const seconds = (module.diagnostic().duration / 1000).toFixed(1);
    return remarks.map((remark, at) => `  ${name}: ${remark}${at === 0 ? `, ${seconds} s` : ""}`);
  });
  return said.length > 0 ? ["", ...said] : [];
}

function kindOf(path: string): string | undefined {
  return KINDS.find(([, pattern]) => pattern.test(path))?.[0];
}
