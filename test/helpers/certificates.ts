/** Certificates made by openssl(1): an authority, and those it signs. */

import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execaSync } from "execa";

export type Certificate = { readonly key: string; readonly certificate: string };

export type Claims = {
  /** Of a server, as openssl writes them: "IP:10.96.0.1", "DNS:kubernetes.default.svc". */
  readonly names?: readonly string[];
  /** As openssl writes it; to Kubernetes O is a group and CN a user. Default "/CN=test server". */
  readonly subject?: string;
  /** Of yesterday. */
  readonly expired?: boolean;
  /** Whether it may sign others. */
  readonly isAuthority?: boolean;
};

/** In a directory that goes when the authority goes. */
export class TestAuthority implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "slash32-certificates-"));
  /** What a client has to trust. */
  readonly caFile = join(this.directory, "ca.crt");
  #count = 0;

  /** Signed by itself, or by the one above it. */
  constructor(above?: TestAuthority) {
    if (above) {
      const { key, certificate } = above.sign({ subject: "/CN=test authority below", isAuthority: true });
      copyFileSync(key, join(this.directory, "ca.key"));
      copyFileSync(certificate, this.caFile);
    } else {
      this.#openssl("req", "-x509", "-subj", "/CN=test authority", ...newKey("ca"), "-out", "ca.crt");
    }
    writeFileSync(join(this.directory, "index"), "");
    writeFileSync(
      join(this.directory, "ca.conf"),
      "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n" +
        "policy=p\nunique_subject=no\ncopy_extensions=copy\n" +
        "[p]\norganizationName=optional\ncommonName=supplied\n",
    );
  }

  /** Paths of a new key and its certificate. */
  sign({ names = [], subject = "/CN=test server", expired = false, isAuthority }: Claims): Certificate {
    this.#count += 1;
    const name = `signed-${this.#count}`;
    const extensions = [
      ...(names.length > 0 ? ["-addext", `subjectAltName=${names.join(",")}`] : []),
      ...(isAuthority ? ["-addext", "basicConstraints=critical,CA:true"] : []),
    ];
    this.#openssl("req", "-subj", subject, ...newKey(name), ...extensions, "-out", `${name}.csr`);
    const dates = [
      "-startdate",
      "20200101000000Z",
      "-enddate",
      expired ? "20200102000000Z" : "20991231000000Z",
    ];
    const authority = ["-config", "ca.conf", "-cert", "ca.crt", "-keyfile", "ca.key"];
    this.#openssl(
      "ca",
      "-batch",
      "-notext",
      ...authority,
      ...dates,
      "-in",
      `${name}.csr`,
      "-out",
      `${name}.crt`,
    );
    return { key: join(this.directory, `${name}.key`), certificate: join(this.directory, `${name}.crt`) };
  }

  #openssl(...args: readonly string[]): void {
    execaSync("openssl", args, { cwd: this.directory });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

function newKey(name: string): string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
}
