// An executable for arm64 on a kernel of its kind, in a machine of software (qemu's TCG): that it calls C as arm64 does,
// with the right numbers and structures, no emulator of single programs can tell.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { archive, file } from "../kernels/initramfs.ts";

/** It takes seconds. */
const TIMEOUT_MS = 10 * 60_000;

/** Makes the guest in a new directory, runs it, and returns what was tried. Rejects with all that the guest printed. */
export async function tryInGuest(executable: string, directory: string): Promise<string[]> {
  await execa("sh", ["scripts/release/guest-kernel.sh", directory], { stderr: "inherit" });
  const initramfs = join(directory, "initramfs");
  const files = {
    busybox: join(directory, "busybox"),
    "veth.ko": join(directory, "veth.ko"),
    slash32: executable,
  };
  const entries = Object.entries({ init: join(import.meta.dirname, "guest-init.sh"), ...files });
  writeFileSync(initramfs, archive(entries.map(([name, path]) => file(name, readFileSync(path)))));
  // biome-ignore format: option and value
  const qemu = [
    "-accel", "tcg", "-machine", "virt", "-cpu", "cortex-a57", "-m", "512",
    "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
    "-kernel", join(directory, "vmlinuz"), "-initrd", initramfs,
    "-append", "console=ttyAMA0 quiet panic=-1",
  ];
  const command = ["--pdeathsig", "KILL", "qemu-system-aarch64", ...qemu];
  const { stdout } = await execa("setpriv", command, { stdin: "ignore", timeout: TIMEOUT_MS });
  const lines = stdout.split(/\r?\n/).filter((line) => !line.startsWith("[")); // the kernel's own
  const end = lines.indexOf("Tried");
  if (end === -1) throw new Error(`Cannot try ${executable} in a guest:\n${stdout}`);
  return lines.slice(0, end);
}
