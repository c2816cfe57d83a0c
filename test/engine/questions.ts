/** What two engines are asked, to see whether they agree: the program's pure functions, and what it takes for granted. */

import {
  addressBytes,
  addressFromBytes,
  bounds,
  formatAddress,
  formatPrefix,
  parseAddress,
  parsePrefix,
} from "../../src/address.ts";
import { errorObject } from "../../src/cni/error.ts";
import { readNetconf } from "../../src/cni/netconf.ts";
import { readRequest } from "../../src/cni/request.ts";
import {
  attachmentNumber,
  hostEndAlias,
  hostEndName,
  ownerOf,
  sandboxMac,
} from "../../src/datapath/endpoint.ts";
import { leasableCount, nextLeasable, rangeName, readRangeSets } from "../../src/ipam/range.ts";
import { basename, dirname, join } from "../../src/paths.ts";
import { sha1 } from "../../src/sha1.ts";
import { word } from "../../src/shell.ts";

/** Each takes a text, whatever it is, and returns what JSON can hold. */
const QUESTIONS: Readonly<Record<string, (text: string) => unknown>> = {
  address(text) {
    const address = parseAddress(text);
    if (address === undefined) return undefined;
    const bytes = addressBytes(address);
    return [
      formatAddress(address),
      bytes.toHex(),
      String(address.value),
      formatAddress(addressFromBytes(bytes)),
    ];
  },
  prefix(text) {
    const prefix = parsePrefix(text);
    if (prefix === undefined) return undefined;
    const { first, last } = bounds(prefix);
    return [formatPrefix(prefix), String(first), String(last)];
  },
  range(text) {
    const { sets, mistakes } = readRangeSets([[{ subnet: text }]], {}, "ranges");
    return [
      mistakes,
      sets.flat().map((range) => {
        const first = nextLeasable(range, range.first);
        return [rangeName(range), String(leasableCount([range])), first && formatAddress(first)];
      }),
    ];
  },
  paths: (text) => [join(text), join("/a", text, "b"), basename(text), dirname(text)],
  netconf: (text) => readNetconf(text),
  names(text) {
    const attachment = { network: text, containerId: text.toUpperCase(), ifName: "eth0" };
    const alias = hostEndAlias(attachment, text);
    return [
      hostEndName("cali", attachment),
      sandboxMac(attachment),
      String(attachmentNumber(attachment)),
      alias,
      ownerOf(hostEndName("cali", attachment), alias),
    ];
  },
  request(text) {
    const { args, path } = readRequest({
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: text,
      CNI_NETNS: "/",
      CNI_IFNAME: text.slice(-16),
      CNI_ARGS: text,
      CNI_PATH: text,
    });
    return [[...args], path];
  },
  words: (text) => [word(text), sha1(text)],
  text: (text) => [
    new TextEncoder().encode(text).toHex(),
    new TextDecoder().decode(new TextEncoder().encode(text)),
    [...text].length,
    text.split(/[\s,;]+/),
    text.replaceAll(/[\p{White_Space}\p{Cc}]/gu, "x"),
  ],
  json: (text) => JSON.parse(text),
};

export const ASKED = Object.keys(QUESTIONS);

export type Question = { readonly asked: string; readonly text: string };

/** What comes of each, as JSON; an error as the runtime would get it, and for a SyntaxError no more than that it is one. */
export function answers(questions: readonly Question[]): string[] {
  return questions.map(({ asked, text }) => {
    try {
      return JSON.stringify(QUESTIONS[asked]?.(text)) ?? "undefined";
    } catch (error) {
      const words =
        error instanceof SyntaxError ? "SyntaxError" : JSON.stringify(errorObject(error, "1.1.0"));
      // Engines have words of their own for what is wrong with JSON.
      return words.replace(/JSON \(.*\)/, "JSON");
    }
  });
}
