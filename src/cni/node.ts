// What the node knows of itself: <stateDir>/node.json, written by the installer or the agent.
import { type Family, parsePrefix } from "../address.ts";
import { findText } from "../files.ts";
import { validateNode } from "../generated/validators.ts";
import type { Mistake, PodCidrs } from "../ipam/range.ts";
import { CniError, Code } from "./error.ts";
import { describeMistake, mistakesIn } from "./mistake.ts";

export interface Node {
  readonly podCidrs: PodCidrs;
  readonly mtu: number | undefined;
}

/** Reads the file; a node without one knows nothing, which is no error here. Throws a CniError when it is wrong. */
export function readNode(stateDir: string): Node {
  const path = nodePath(stateDir);
  const text = readNodeFile(path);
  return text === undefined ? { podCidrs: {}, mtu: undefined } : parseNode(text, path);
}

/** The file's text; `path` is for the words. Throws a CniError when it is wrong. */
export function parseNode(text: string, path: string): Node {
  const document = parse(text, path);
  const mistakes = [...mistakesIn(validateNode, document)];
  const podCidrs: Partial<Record<Family, string>> = {};
  for (const [index, cidr] of (mistakes.length > 0 ? [] : (document.podCIDRs ?? [])).entries()) {
    const family = parsePrefix(cidr)?.address.family;
    const expected = family ? "one of each family" : 'a CIDR such as "10.20.1.0/24"';
    if (family && podCidrs[family] === undefined) podCidrs[family] = cidr;
    else mistakes.push({ key: `podCIDRs[${index}]`, value: cidr, expected });
  }
  if (mistakes.length > 0) throw invalid(path, mistakes);
  return { podCidrs, mtu: document.mtu };
}

export function nodePath(stateDir: string): string {
  return `${stateDir}/node.json`;
}

function readNodeFile(path: string): string | undefined {
  try {
    return findText(path);
  } catch (error) {
    const { message } = error as Error;
    throw new CniError(Code.io, "NodeFileUnreadable", message, undefined, { cause: error });
  }
}

function parse(text: string, path: string): { podCIDRs?: string[]; mtu?: number } {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, [{ key: "", value: text, expected: `JSON (${(error as Error).message})` }]);
  }
}

function invalid(path: string, mistakes: readonly Mistake[]): CniError {
  const words = mistakes.map((mistake) => describeMistake({ ...mistake, key: mistake.key || "the file" }));
  return new CniError(
    Code.invalidConfig,
    "InvalidNodeFile",
    `Cannot use ${path}: ${words[0]}`,
    words.join("\n"),
  );
}
