// Words for a shell, judged by a shell.
import { execaSync } from "execa";
import { expect, test } from "vitest";
import { word } from "../src/shell.ts";

test.each([
  "eth0",
  "/run/netns/a b",
  "it's",
  "$(id)",
  "`id`",
  'a"b',
  "a\\b",
  "a;b|c&d>e",
  "*",
  "~",
  "-n",
  "é",
  "",
  "''",
])("%j reaches a command as it is, also through a second shell", (text) => {
  const once = `printf '<%s>' ${word(text)}`;
  expect(execaSync("sh", ["-c", once]).stdout).toBe(`<${text}>`);
  expect(execaSync("sh", ["-c", `sh -c ${word(once)}`]).stdout).toBe(`<${text}>`);
});

test.each(["eth0", "/proc/sys/net/ipv4/ip_forward", "slash32-1.2_3@4:5"])("%s needs no quotes", (text) => {
  expect(word(text)).toBe(text);
});
