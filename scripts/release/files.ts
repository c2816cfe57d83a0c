// What a release consists of, for those who make it and those who take from it.
import { existsSync } from "node:fs";

/** As Go names them, with the compiler's name for them, and what runs their programs on machines of another kind. */
export const ARCHITECTURES = {
  amd64: { triplet: "x86_64-linux-gnu", emulator: "qemu-x86_64" },
  arm64: { triplet: "aarch64-linux-gnu", emulator: "qemu-aarch64" },
} as const;

export type Architecture = keyof typeof ARCHITECTURES;

/** The directory. */
export const RELEASE = "release";

/** Says that the release is of the present sources: a build of others removes it with its directory. */
export const RELEASED = "build/released.sha256";

export function executableFor(architecture: string): string {
  return `${RELEASE}/slash32-linux-${architecture}`;
}

/** By architecture, if there is a release of the present sources. Paths are relative to the project's directory. */
export function releasedExecutables(): Record<string, string> | undefined {
  const files = Object.keys(ARCHITECTURES).map((architecture) => [architecture, executableFor(architecture)]);
  const isComplete = existsSync(RELEASED) && files.every(([, path]) => existsSync(path as string));
  return isComplete ? Object.fromEntries(files) : undefined;
}
