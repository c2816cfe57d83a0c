// Kernel settings under /proc/sys. Which namespace's they are depends on who opens the file.
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import type { Namespace } from "./netns.ts";

/** A setting that could not be read or written. `code` is errno by name: ENOENT when the kernel has no such key. */
export class SysctlError extends Error {
  override readonly name = "SysctlError";
  readonly key: string;
  readonly code: string;

  constructor(attempt: string, key: string, cause: NodeJS.ErrnoException) {
    super(
      `Cannot ${attempt}: ${cause.code === "ENOENT" ? "the kernel has no such setting" : cause.message}`,
      {
        cause,
      },
    );
    this.key = key;
    this.code = cause.code ?? "EIO";
  }
}

/** Keys are written with slashes, "net/ipv4/conf/eth0.5/forwarding": interface names may contain dots. */
export function sysctlPath(key: string): string {
  return `/proc/sys/${key}`;
}

/** `undefined` when the kernel has no such key (IPv6 switched off, interface gone). */
export function readSysctl(namespace: Namespace, key: string): string | undefined {
  try {
    return namespace.inside<string>(() => readFileSync(sysctlPath(key), "utf8").trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new SysctlError(`read ${sysctlPath(key)}`, key, error as NodeJS.ErrnoException);
  }
}

export function writeSysctl(namespace: Namespace, key: string, value: string): void {
  try {
    namespace.inside<void>(() => {
      const fd = openSync(sysctlPath(key), constants.O_WRONLY);
      try {
        writeSync(fd, value);
      } finally {
        closeSync(fd);
      }
    });
  } catch (error) {
    throw new SysctlError(`echo ${value} > ${sysctlPath(key)}`, key, error as NodeJS.ErrnoException);
  }
}
