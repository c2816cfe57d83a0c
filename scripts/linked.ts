// What the executable is linked with beside our own modules: from which packages of Debian, and with what licences.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";
import { engine, type Target } from "./link.ts";

export interface Component {
  readonly name: string;
  /** Debian's source package. */
  readonly source: string;
  /** An SPDX expression. */
  readonly licence: string;
  /** What it is for a kind of machine. */
  readonly origin: (target: Target) => Origin;
}

export interface Origin {
  /** Debian's package, of which release, for which architecture. */
  readonly package: string;
  readonly version: string;
  readonly distribution: string;
  readonly architecture: string;
  /** The file that has the text of the licence. */
  readonly licenceFile: string;
}

export const LINKED: readonly Component[] = [
  { name: "QuickJS", source: "quickjs", licence: "MIT", origin: compiledByUs },
  { name: "SQLite", source: "sqlite3", licence: "blessing", origin: libraryOf("libsqlite3-dev") },
  { name: "OpenSSL", source: "openssl", licence: "Apache-2.0", origin: libraryOf("libssl-dev") },
  { name: "GNU C Library", source: "glibc", licence: "LGPL-2.1-or-later", origin: libraryOf("libc6-dev") },
  {
    name: "GCC's runtime library",
    source: "gcc-12",
    licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
    origin: compilersOwn,
  },
];

/** All licences, each below the name of what it is for. */
export function linkedLicences(target: Target): string {
  const texts = LINKED.map(
    ({ name, origin }) => `${name}\n${readFileSync(origin(target).licenceFile, "utf8")}`,
  );
  return texts.join("\n\n");
}

/** See build-engine.sh. */
function compiledByUs(target: Target): Origin {
  const directory = engine(target);
  return {
    package: "quickjs",
    version: readFileSync(join(directory, "version"), "utf8").trim(),
    distribution: "trixie",
    architecture: "source",
    licenceFile: join(directory, "LICENSE"),
  };
}

function libraryOf(name: string): (target: Target) => Origin {
  return ({ sysroot }) => packaged(name, sysroot);
}

/** Comes with the compiler, which is this machine's in any case. */
function compilersOwn({ triplet }: Target): Origin {
  const { stdout: file } = execaSync(`${triplet}-gcc`, ["-print-libgcc-file-name"]);
  const { stdout: owner } = execaSync("dpkg-query", ["--search", file]);
  return packaged(owner.slice(0, owner.indexOf(":")));
}

/** A package that is installed, on this machine or in what sysroot.sh has made. */
function packaged(name: string, sysroot = "/"): Origin {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills them in
  const format = "--showformat=${Version} ${Architecture}\n";
  const { stdout } = execaSync("dpkg-query", [
    `--admindir=${join(sysroot, "var/lib/dpkg")}`,
    ...["--show", format, `${name}:*`],
  ]);
  const [version = "", architecture = ""] = stdout.split(/\s/);
  const licenceFile = join(sysroot, "usr/share/doc", name, "copyright");
  return { package: name, version, distribution: "bookworm", architecture, licenceFile };
}
