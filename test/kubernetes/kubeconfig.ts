// How somebody asks the API server.
import { readFileSync } from "node:fs";
import type { Certificate, TestAuthority } from "../helpers/certificates.ts";

/** A configuration file, with all that it takes in it; JSON is YAML too. */
export function kubeconfig(server: string, authority: TestAuthority, own: Certificate): string {
  const [authorityData, certificateData, keyData] = [authority.caFile, own.certificate, own.key].map((file) =>
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
