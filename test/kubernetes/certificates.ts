// Who is who in the cluster: a certificate authority, and what it signs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execaSync } from "execa";

/** A subject of a certificate, as Kubernetes reads it. */
export interface Identity {
  readonly user: string;
  readonly group?: string;
}

/** Files of a certificate and its key. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
/** OpenSSL's own settings would make every certificate an authority. */
const SETTINGS = "[req]\ndistinguished_name = name\n[name]\n";

/** Signs with a key that it makes, in a directory that has to be there. */
export class Authority {
  /** What others are to trust. */
  readonly certificate: string;
  readonly #directory: string;
  readonly #own: Certificate;

  constructor(directory: string) {
    this.#directory = directory;
    writeFileSync(join(directory, "openssl.cnf"), SETTINGS);
    this.#own = this.#make("authority", "/CN=cluster", "-addext", "basicConstraints=critical,CA:TRUE");
    this.certificate = this.#own.certificate;
  }

  /** A certificate with which somebody asks the API server, and for a server the names by which it is asked. */
  issue(name: string, { user, group }: Identity, serverNames: readonly string[] = []): Certificate {
    const usage = serverNames.length > 0 ? "clientAuth,serverAuth" : "clientAuth";
    return this.#make(
      name,
      `${group === undefined ? "" : `/O=${group}`}/CN=${user}`,
      ...["-CA", this.#own.certificate, "-CAkey", this.#own.key, "-addext", `extendedKeyUsage=${usage}`],
      ...(serverNames.length > 0 ? ["-addext", `subjectAltName=${serverNames.join(",")}`] : []),
    );
  }

  #make(name: string, subject: string, ...options: readonly string[]): Certificate {
    const made = {
      certificate: join(this.#directory, `${name}.crt`),
      key: join(this.#directory, `${name}.key`),
    };
    const files = [
      "-config",
      join(this.#directory, "openssl.cnf"),
      "-keyout",
      made.key,
      "-out",
      made.certificate,
    ];
    execaSync("openssl", ["req", "-x509", "-days", "2", "-subj", subject, ...KEY, ...files, ...options]);
    return made;
  }
}

/** A configuration file for whoever asks the API server, with all that it takes in it; JSON is YAML too. */
export function kubeconfig(server: string, authority: Authority, { certificate, key }: Certificate): string {
  const [authorityData, certificateData, keyData] = [authority.certificate, certificate, key].map((file) =>
    readFileSync(file, "base64"),
  );
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "lane", cluster: { server, "certificate-authority-data": authorityData } }],
    users: [
      { name: "self", user: { "client-certificate-data": certificateData, "client-key-data": keyData } },
    ],
    contexts: [{ name: "lane", context: { cluster: "lane", user: "self" } }],
    "current-context": "lane",
  });
}
