// What each sub-command is given.
import type { Scene } from "./scene.ts";

export interface Given {
  readonly scene: Scene;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly force: boolean;
  /** What follows the sub-command. */
  readonly operands: readonly string[];
}
