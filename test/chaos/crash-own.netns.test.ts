// Killed at any instant, with leases of our own: each system call of ADD, DEL and GC in turn is the last.
import { crashTest } from "./crash-test.ts";

crashTest([
  { verb: "ADD", stack: "dual", ipam: "slash32", store: "none" },
  { verb: "ADD", stack: "dual", ipam: "slash32", store: "used", fullOnly: true },
  { verb: "ADD", stack: "single", ipam: "slash32", store: "none", fullOnly: true },
  { verb: "ADD", stack: "single", ipam: "slash32", store: "used", fullOnly: true },
  { verb: "DEL", stack: "dual", ipam: "slash32", store: "used" },
  { verb: "DEL", stack: "single", ipam: "slash32", store: "used", fullOnly: true },
  { verb: "GC", stack: "dual", ipam: "slash32", store: "used" },
  { verb: "GC", stack: "single", ipam: "slash32", store: "used", fullOnly: true },
]);
