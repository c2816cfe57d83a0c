// What all readers of a trace are given: the walk, and the probe if one was sent.
import { loss, type Probe } from "./probe/probe.ts";
import type { Walk } from "./walk.ts";

export interface Report {
  readonly walked: Walk;
  readonly probed?: Probe;
}

export function isFine({ walked, probed }: Report): boolean {
  return walked.firstWrong === undefined && (probed === undefined || loss(probed) === undefined);
}
