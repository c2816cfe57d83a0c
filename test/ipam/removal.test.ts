// A store's end: all of it goes, whatever it was left like, and nothing else.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listStores, removeStore, Store } from "../../src/ipam/store.ts";
import { thrown } from "../helpers/thrown.ts";

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "store-"));
});
afterEach(() => rmSync(stateDir, { recursive: true }));

function make(network: string): void {
  using store = Store.open(stateDir, network);
  store.register({
    attachment: { network, containerId: "a", ifName: "eth0" },
    hostEnd: "calia",
    mtu: 1500,
    pod: "",
  });
}

test("stores are found by what is in them, whole or in parts; directories of others are not", () => {
  for (const network of ["podnet", "second"]) make(network);
  rmSync(join(stateDir, "second/leases.db")); // somebody was killed who removed it
  mkdirSync(join(stateDir, "empty"));
  mkdirSync(join(stateDir, "other"));
  writeFileSync(join(stateDir, "other/file"), "");
  writeFileSync(join(stateDir, "node.json"), "{}");
  expect(listStores(stateDir)).toEqual(["empty", "podnet", "second"]);
  expect(listStores(join(stateDir, "none"))).toEqual([]);
});

test("one is removed with its journal, its locks and those that were found damaged", () => {
  make("podnet");
  for (const name of ["leases.db-journal", "leases.db.corrupt-20261126T150000000Z"]) {
    writeFileSync(join(stateDir, "podnet", name), "");
  }
  removeStore(stateDir, "podnet");
  expect(readdirSync(stateDir)).toEqual([]);
});

test("what others put there stays, and keeps the directory", () => {
  make("podnet");
  writeFileSync(join(stateDir, "podnet/notes"), "mine");
  expect(listStores(stateDir)).toEqual([]);
  expect(thrown(() => removeStore(stateDir, "podnet"))).toMatchObject({ code: "ENOTEMPTY" });
  expect(existsSync(join(stateDir, "podnet/notes"))).toBe(true);
});
