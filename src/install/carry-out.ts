// Makes a node what it is to be: all is written aside first, tried, and then put in its places one by one, the list last.
import { rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Aside, listSetAside, listUnfinished, remove } from "./aside.ts";
import type { Change } from "./changes.ts";
import { ensureDirectory, lockNode } from "./lock.ts";
import type { Places } from "./places.ts";

/** Where the executable is, by directory and name, as long as it is on trial. */
export type Trial = (executable: { readonly directory: string; readonly name: string }) => void;

/**
 * Does what `look` finds to be done, when nobody else is at work, and returns it. Where anything fails, the trial above
 * all, the node is as before, and what failed is thrown. Killed at any instant, it leaves a node whose runtime finds what
 * it found before, or all that is new; what else is left the next run removes.
 */
export function carryOut(look: () => readonly Change[], places: Places, trial: Trial): readonly Change[] {
  using cleanup = new DisposableStack();
  cleanup.use(lockNode(places.seen(places.lock)));
  removeUnfinished(places);
  const changes = look();
  const prepared = changes.flatMap((change): Aside[] => {
    if (change.kind !== "write" || change.isDone) return [];
    ensureDirectory(dirname(change.seen), change.what === "node file" ? 0o700 : 0o755, cleanup);
    return [cleanup.use(Aside.write(change.seen, change.content, change.mode))];
  });
  const executable = places.seen(places.executable);
  const aside = prepared.find(({ path }) => path === executable)?.temporary ?? executable;
  trial({ directory: dirname(aside), name: basename(aside) });
  for (const file of prepared) file.commit();
  for (const change of changes) if (change.kind === "remove") remove(change.seen);
  return changes;
}

/** What earlier runs left that were killed: of an installation, and of its removal. */
function removeUnfinished(places: Places): void {
  for (const directory of [places.binDir, places.confDir, places.stateDir].map((path) => places.seen(path))) {
    for (const path of listUnfinished(directory)) remove(path);
    for (const { path } of listSetAside(directory)) remove(path);
  }
  rmSync(places.seen(places.trialDir), { recursive: true, force: true });
}
