/**
 * People of a fleet for tests without Vault: CAs like those of the mounts `operators` and `controllers`, and signers with certificates of
 * any rank, also wrong ones.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  webcrypto,
  X509Certificate,
} from "node:crypto";
import "reflect-metadata";
import { type EnvelopeSigner, rawPublic, TrustBundle, type Verifier, verifierOf } from "@muster/protocol";
import * as x509 from "@peculiar/x509";

const ED25519 = { name: "Ed25519" } as const;
const DAY_MS = 86_400_000;

type Pair = { readonly keys: webcrypto.CryptoKeyPair; readonly key: KeyObject };

async function makePair(): Promise<Pair> {
  const key = generateKeyPairSync("ed25519").privateKey;
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const raw = rawPublic(key);
  const keys = {
    privateKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, ED25519, true, ["sign"]),
    publicKey: await webcrypto.subtle.importKey("raw", raw, ED25519, true, ["verify"]),
  };
  return { keys, key: createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }) };
}

export type Person = EnvelopeSigner & {
  readonly certificate: string;
  readonly pem: string;
  readonly key: KeyObject;
};

export class PeopleCa {
  readonly pem: string;
  readonly #pair: Pair;
  readonly #subject: string;
  #serial = 1;

  /** As the port that issues server certificates takes it. */
  get ca(): { certificate_pem: string; private_pem: string } {
    const private_pem = this.#pair.key.export({ type: "pkcs8", format: "pem" }).toString();
    return { certificate_pem: `${this.pem}\n`, private_pem };
  }

  private constructor(pem: string, pair: Pair, subject: string) {
    this.pem = pem;
    this.#pair = pair;
    this.#subject = subject;
  }

  /** A CA that issues leaves; `ou` for a broker's CA that commits to other keys. */
  static async make(name: string, ou?: string): Promise<PeopleCa> {
    const pair = await makePair();
    const subject = ou === undefined ? `CN=${name}` : `OU=${ou}, CN=${name}`;
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: subject,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 365 * DAY_MS),
      keys: pair.keys,
      signingAlgorithm: ED25519,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    });
    return new PeopleCa(certificate.toString("pem"), pair, subject);
  }

  /** Judges by a bundle in which this CA stands for every other too. */
  verifier(): Verifier {
    return verifierOf(
      TrustBundle.parse({
        v: 1,
        fleet: "lab",
        version: 1,
        issued_at: 1,
        operators_ca: [this.pem],
        admin_keys: [`${"A".repeat(43)}=`],
        broker_ca: [this.pem],
        controllers_ca: [this.pem],
        services_ca: [this.pem],
        identity_ca: [],
        vault_ca: [],
        vault: [],
        brokers: ["localhost"],
        ssh_host_ca: ["ssh-ed25519 AAAA"],
        ssh_user_ca: [],
        voided: [],
        ssh_krl: null,
        policy: {},
      }),
    );
  }

  /** A certificate (base64 DER) whose subject is empty. */
  async nameless(): Promise<string> {
    const pair = await makePair();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      keys: pair.keys,
      signingAlgorithm: ED25519,
    });
    return Buffer.from(certificate.rawData).toString("base64");
  }

  /** A signer of that name and OU; `from_ms` and `to_ms` are relative to now. */
  async person(name: string, ou: string, span: { from_ms?: number; to_ms?: number } = {}): Promise<Person> {
    const pair = await makePair();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: (++this.#serial).toString(16).padStart(4, "0"),
      subject: `OU=${ou}, CN=${name}`,
      issuer: this.#subject,
      notBefore: new Date(Date.now() + (span.from_ms ?? -60_000)),
      notAfter: new Date(Date.now() + (span.to_ms ?? 8 * 3_600_000)),
      publicKey: pair.keys.publicKey,
      signingKey: this.#pair.keys.privateKey,
      signingAlgorithm: ED25519,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ],
    });
    const pem = certificate.toString("pem");
    return { certificate: new X509Certificate(pem).raw.toString("base64"), pem, key: pair.key };
  }
}
