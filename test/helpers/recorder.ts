/** A plugin that writes down how a runtime calls it, and otherwise is slash32. */

import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EXECUTABLE } from "./plugin.ts";

export type RecordedCall = {
  readonly verb: string;
  readonly containerId: string;
  readonly netns: string;
  /** CNI_ARGS as it came. */
  readonly args: string;
  readonly stdin: string;
};

export class Recorder {
  /** To be installed as an executable. */
  readonly script: string;
  readonly #directory: string;

  /** `directory` is made. */
  constructor(directory: string) {
    mkdirSync(directory);
    this.#directory = directory;
    // It gets its name when it is complete, so that nobody reads half a call.
    this.script = `#!/bin/sh
call=$(mktemp -d "${directory}/.XXXXXXXX")
env >"$call/environment"
cat >"$call/stdin"
name="${directory}/$(date +%s.%N).$$"
mv "$call" "$name"
exec "${EXECUTABLE}" <"$name/stdin"
`;
  }

  /** In the order they came, of one container if it is named. */
  calls(containerId?: string): RecordedCall[] {
    const names = readdirSync(this.#directory).filter((name) => !name.startsWith("."));
    const calls = names.toSorted().map((name) => this.#read(name));
    return calls.filter((call) => containerId === undefined || call.containerId === containerId);
  }

  #read(name: string): RecordedCall {
    const read = (part: string) => readFileSync(join(this.#directory, name, part), "utf8");
    const environment = read("environment");
    const value = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(environment)?.[1] ?? "";
    return {
      verb: value("CNI_COMMAND"),
      containerId: value("CNI_CONTAINERID"),
      netns: value("CNI_NETNS"),
      args: value("CNI_ARGS"),
      stdin: read("stdin"),
    };
  }
}
