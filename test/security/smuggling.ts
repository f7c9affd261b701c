/** Certificate requests that ask for more than is theirs: names, addresses, ranks and uses beside what the parameters say. */
import "reflect-metadata";
import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto";
import type { KeyPems } from "@muster/ports/csr";
import * as x509 from "@peculiar/x509";

export type Smuggled = {
  readonly key: KeyPems;
  readonly common_name: string;
  /** As OU in its subject. */
  readonly units?: readonly string[];
  readonly dns_names?: readonly string[];
  readonly ip_addresses?: readonly string[];
  readonly ca?: boolean;
};

/** PEM. */
export async function smugglingCsr(smuggled: Smuggled): Promise<string> {
  const key = createPrivateKey(smuggled.key.private_pem);
  const ed25519 = key.asymmetricKeyType === "ed25519";
  const algorithm = ed25519 ? { name: "Ed25519" } : { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const { subtle } = webcrypto;
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const keys = {
    privateKey: await subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]),
    publicKey: await subtle.importKey("spki", spki, algorithm, true, ["verify"]),
  };
  const names: x509.JsonGeneralName[] = [
    ...(smuggled.dns_names ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(smuggled.ip_addresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [smuggled.common_name] }, ...(smuggled.units ?? []).map((unit) => ({ OU: [unit] }))],
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ...(smuggled.ca ? [new x509.BasicConstraintsExtension(true, undefined, true)] : []),
    ],
  });
  return request.toString("pem");
}
