/** An issuer without Vault: bus JWTs by the test fleet's role keys, certificates of a CA in memory. Its ssh certificates only look like some. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { memorySigner, userJwt } from "@muster/protocol";
import * as x509 from "@peculiar/x509";
import { type Issuer, LIFE_MS } from "../../packages/controller/src/certificates/issuer.ts";
import type { TestFleet } from "./fleet.ts";

const DAY_MS = 86_400_000;

/** `signed` counts what was signed; `down` makes every signature fail with it. */
export type TestIssuer = Issuer & { signed: number; down: Error | null };

export function memoryIssuer(fleet: TestFleet): TestIssuer {
  const count = <T>(make: () => Promise<T>): Promise<T> => {
    if (issuer.down !== null) return Promise.reject(issuer.down);
    issuer.signed++;
    return make();
  };
  const service = (name: string, csr_pem: string) =>
    count(async () => {
      const csr = new x509.Pkcs10CertificateRequest(csr_pem);
      const keys = (await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
        "sign",
        "verify",
      ])) as webcrypto.CryptoKeyPair;
      const not_after = Date.now() + 30 * DAY_MS;
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${name}`,
        issuer: "CN=services",
        notAfter: new Date(not_after),
        publicKey: csr.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      });
      return { text: `${certificate.toString("pem")}\n`, not_after };
    });
  const issuer: TestIssuer = {
    signed: 0,
    down: null,
    life_ms: LIFE_MS,
    userJwt: (role, user) =>
      count(async () => ({
        text: await userJwt({ ...user, account: fleet.account }, memorySigner(fleet.roles[role]), Date.now()),
        not_after: user.expires_ms,
      })),
    serviceCertificate: (name, csr_pem) => service(name, csr_pem),
    pageCertificate: ([name = ""], csr_pem) => service(name, csr_pem),
    sshCertificate: (name) =>
      count(async () => ({
        text: `ssh-ed25519-cert-v01@openssh.com ${Buffer.from(name).toString("base64")}`,
        not_after: Date.now() + 30 * DAY_MS,
      })),
    controllerCertificate: (name) =>
      count(async () => {
        const { pem } = await fleet.controllers.person(name, "controller");
        return { text: pem, not_after: Date.now() + DAY_MS };
      }),
  };
  return issuer;
}
