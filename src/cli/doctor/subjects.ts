// All checks, by subject, in the order of the report: from what everything rests on to single pods.
import { ATTACHMENTS } from "./attachments.ts";
import type { Subject } from "./check.ts";
import { CNI } from "./cni.ts";
import { FIREWALL } from "./firewall.ts";
import { KERNEL } from "./kernel.ts";
import { SETTINGS } from "./settings.ts";
import { SOFTWARE } from "./software.ts";
import { STATE } from "./state.ts";
import { WAYS } from "./ways.ts";

export const SUBJECTS: readonly Subject[] = [
  { name: "kernel", checks: KERNEL },
  { name: "settings", checks: SETTINGS },
  { name: "ways out", checks: WAYS },
  { name: "firewall", checks: FIREWALL },
  { name: "other software", checks: SOFTWARE },
  { name: "configuration", checks: CNI },
  { name: "leases", checks: STATE },
  { name: "pods", checks: ATTACHMENTS },
];
