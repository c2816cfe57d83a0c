// Versions of the CNI specification, and the VERSION verb.

/** In ascending order, as libcni's gate expects. */
export const SUPPORTED_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type CniVersion = (typeof SUPPORTED_VERSIONS)[number];

export const NEWEST_VERSION: CniVersion = "1.1.0";

/** The specification compares versions letter for letter: "1.0" is not "1.0.0". */
export function isSupported(version: string): version is CniVersion {
  return (SUPPORTED_VERSIONS as readonly string[]).includes(version);
}

export function atLeast(version: CniVersion, other: CniVersion): boolean {
  return SUPPORTED_VERSIONS.indexOf(version) >= SUPPORTED_VERSIONS.indexOf(other);
}

/** VERSION: needs no environment and no configuration; `asked` is the configuration's version, if there was one. */
export function version(asked: string | undefined): object {
  return { cniVersion: asked || NEWEST_VERSION, supportedVersions: SUPPORTED_VERSIONS };
}
