// Kernel settings under /proc/sys. Which namespace's they are depends on who opens the file.
import { findText, O_WRONLY, withFile, writeText } from "../files.ts";
import { SystemError } from "../libc.ts";
import type { Namespace } from "./netns.ts";

/** A setting that could not be read or written. `code` is errno by name: ENOENT when the kernel has no such key. */
export class SysctlError extends Error {
  override readonly name = "SysctlError";
  readonly key: string;
  readonly code: string;

  constructor(attempt: string, key: string, cause: SystemError) {
    const reason = cause.code === "ENOENT" ? "the kernel has no such setting" : cause.reason;
    super(`Cannot ${attempt}: ${reason}`, { cause });
    this.key = key;
    this.code = cause.code;
  }
}

/** Keys are written with slashes, "net/ipv4/conf/eth0.5/forwarding": interface names may contain dots. */
export function sysctlPath(key: string): string {
  return `/proc/sys/${key}`;
}

/** `undefined` when the kernel has no such key (IPv6 switched off, interface gone). */
export function readSysctl(namespace: Namespace, key: string): string | undefined {
  const path = sysctlPath(key);
  return namespace.inside<string | undefined>(() => {
    return attempt(`read ${path}`, key, () => findText(path)?.trim());
  });
}

export function writeSysctl(namespace: Namespace, key: string, value: string): void {
  const path = sysctlPath(key);
  namespace.inside<void>(() => {
    attempt(`echo ${value} > ${path}`, key, () => withFile(path, O_WRONLY, (fd) => writeText(fd, value)));
  });
}

function attempt<T>(what: string, key: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof SystemError ? new SysctlError(what, key, error) : error;
  }
}
