// Killed at any instant, with another plugin's leases: each system call of ADD, DEL and GC in turn is the last.
import { crashTest } from "./crash-test.ts";

crashTest([
  { verb: "ADD", stack: "single", ipam: "host-local", store: "none" },
  { verb: "ADD", stack: "single", ipam: "host-local", store: "used", fullOnly: true },
  { verb: "ADD", stack: "dual", ipam: "host-local", store: "none", fullOnly: true },
  { verb: "DEL", stack: "single", ipam: "host-local", store: "used" },
  { verb: "DEL", stack: "dual", ipam: "host-local", store: "used", fullOnly: true },
  { verb: "GC", stack: "single", ipam: "host-local", store: "used" },
  { verb: "GC", stack: "dual", ipam: "host-local", store: "used", fullOnly: true },
]);
