/** What a test file has to say of its run, beside passing: versions it ran against, times it measured. */

import { execaSync } from "execa";

declare module "vitest" {
  interface TaskMeta {
    /** A line each. */
    remarks?: readonly string[];
  }
}

/** Adds a line to the closing lines of the report (test/reporter.ts). `file` is `task.file`. */
export function remark(file: { readonly meta: { remarks?: readonly string[] } }, line: string): void {
  file.meta.remarks = [...(file.meta.remarks ?? []), line];
}

/** "name version" of installed Debian packages. Throws when one is missing: what a test needs is there, or it fails. */
export function installed(...packages: readonly string[]): string {
  const format = "$" + "{Package} $" + "{Version}\\n";
  return execaSync("dpkg-query", ["--show", `--showformat=${format}`, ...packages]).stdout.replaceAll(
    "\n",
    ", ",
  );
}
