// What somebody wants to see first when a step has failed.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Kubectl } from "./kubectl.ts";

const LINES = 5;
const WIDTH = 200;
/** As klog, containerd and Go's runtime complain. */
const COMPLAINT = /^[EF]\d{4} |level=(error|fatal)|"level":"(error|fatal)"|^panic:|^fatal error:/;

/** The latest complaints in each daemon's log, or its last lines where it has none. */
export function complaints(directory: string): string[] {
  const logs = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) =>
    isDaemonLog(file),
  );
  return logs.sort().flatMap((log) => {
    const lines = readFileSync(join(directory, log), "utf8").trim().split("\n");
    const worst = lines.filter((line) => COMPLAINT.test(line));
    const shown = (worst.length > 0 ? worst : lines).slice(-LINES);
    return [
      `${relative(directory, join(directory, log))}:`,
      ...shown.map((line) => `  ${line.slice(0, WIDTH)}`),
    ];
  });
}

/** Not those of containers, which are in pods/ and containers/. */
function isDaemonLog(path: string): boolean {
  return path.endsWith(".log") && !/\b(pods|containers)\//.test(path);
}

/** What the cluster itself says: pods that are not ready, the latest events, and the installer's words. */
export async function statements(kubectl: Kubectl): Promise<string[]> {
  const questions = [
    ["get", "pods", "--all-namespaces", "--output=wide", "--no-headers"],
    ["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp", "--no-headers"],
    ["logs", "daemonset/slash32", "--namespace=kube-system", "--container=install"],
  ];
  const answers = questions.map(async (question) => {
    const printed = await kubectl.run(...question).catch((error: Error) => error.message);
    const lines = printed.split("\n").filter((line) => !/ 1\/1 +Running /.test(line));
    return [
      `kubectl ${question.join(" ")}:`,
      ...lines.slice(-3 * LINES).map((line) => `  ${line.slice(0, WIDTH)}`),
    ];
  });
  return (await Promise.all(answers)).flat();
}
