/**
 * Port to `@peculiar/x509`: keys, certificate requests and, for `ctl init`, the broker's own small CA. Holds no decision
 * about names or lifetimes. The library costs 100 ms to load, so it is loaded when it is first used.
 * Sources: RFC 5280 (certificates), RFC 2986 (requests), RFC 8410 (Ed25519 in both).
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  verify,
  webcrypto,
} from "node:crypto";
import { isIP } from "node:net";
import { FleetError } from "@muster/protocol/errors";

export type KeyType = "ed25519" | "p256";

/** A key pair as text: PKCS#8 and SubjectPublicKeyInfo, both PEM. `private_pem` is a secret. */
export type KeyPems = { readonly private_pem: string; readonly public_pem: string };

/** Who a request or certificate is for. At least the common name; addresses without brackets. */
export type Subject = {
  readonly common_name: string;
  readonly dns_names?: readonly string[];
  readonly ip_addresses?: readonly string[];
};

/** A CA made by `makeCa`: `private_pem` is a secret. */
export type Ca = { readonly certificate_pem: string; readonly private_pem: string };

/** A certificate with its key: `private_pem` is a secret. */
export type Issued = {
  readonly certificate_pem: string;
  readonly private_pem: string;
  readonly not_after: number;
};

/** One use more than a server certificate has by default: a server that also dials (a broker in a cluster). */
export type IssueOptions = Subject & { readonly not_after: number; readonly also_client?: boolean };

/** A fresh fleet takes in machines whose clock is late, as long as a challenge makes up for it: see `CHALLENGED_WINDOW_MS`. */
const CLOCK_SLACK_MS = 3_600_000;
const EKU_SERVER = "1.3.6.1.5.5.7.3.1";
const EKU_CLIENT = "1.3.6.1.5.5.7.3.2";
const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const ED25519 = { name: "Ed25519" } as const;

let loaded: Promise<typeof import("@peculiar/x509")> | undefined;

function library(): Promise<typeof import("@peculiar/x509")> {
  loaded ??= import("reflect-metadata").then(() => import("@peculiar/x509"));
  return loaded;
}

/** Makes a key pair in memory. */
export function makeKey(type: KeyType): KeyPems {
  const pair =
    type === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    private_pem: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    public_pem: pair.publicKey.export({ type: "spki", format: "pem" }).toString(),
  };
}

/**
 * A PKCS#10 request, PEM, signed with the key. FleetError `INVALID` for a key that is neither Ed25519 nor P-256 and for
 * names that are none.
 */
export async function makeCsr(private_pem: string, subject: Subject): Promise<string> {
  const x509 = await library();
  const { algorithm, keys } = await importPair(private_pem);
  const names = alternativeNames(subject);
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      name: [{ CN: [checkedName(subject.common_name)] }],
      keys,
      signingAlgorithm: algorithm,
      extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
    },
    webcrypto,
  );
  return `${request.toString("pem")}\n`;
}

/**
 * The public key of a PKCS#10 request whose own signature holds: whoever made it has the key. `subject` as RFC 4514 writes it (`CN=ixp1`), `extensions`
 * the object identifiers of what it asks for beside. The library reads it, node:crypto verifies: through webcrypto that took 3 ms a request.
 * FleetError `INVALID` for what cannot be read, and `BAD_PROOF` for a signature of another key.
 */
export async function readCsr(
  csr_pem: string,
): Promise<{ public_key: KeyObject; subject: string; extensions: readonly string[] }> {
  const own = readOwn(csr_pem);
  if (own !== null) return own;
  const x509 = await library();
  let request: InstanceType<typeof x509.Pkcs10CertificateRequest>;
  let public_key: KeyObject;
  let signed: Uint8Array;
  try {
    request = new x509.Pkcs10CertificateRequest(csr_pem);
    const spki = Buffer.from(request.publicKey.rawData);
    public_key = createPublicKey({ key: spki, format: "der", type: "spki" });
    signed = firstElement(Buffer.from(request.rawData));
  } catch (cause) {
    throw new FleetError("INVALID", "the certificate request is not PKCS#10 PEM", { cause });
  }
  const { hash } = request.signatureAlgorithm;
  const digest = hash === undefined ? null : hash.name.replace("-", "");
  if (!holds(digest, signed, public_key, Buffer.from(request.signature)))
    throw new FleetError("BAD_PROOF", "the certificate request is not signed by its own key");
  return { public_key, subject: request.subject, extensions: request.extensions.map(({ type }) => type) };
}

/** What is the same in every request of ours: version 0, the OID of CN, the head of a P-256 key, no attributes, ECDSA with SHA-256. */
const OWN = {
  version: Buffer.from("020100", "hex"),
  common_name: Buffer.from("0603550403", "hex"),
  key: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex"),
  attributes: Buffer.from("a000", "hex"),
  algorithm: Buffer.from("300a06082a8648ce3d040302", "hex"),
} as const;
const PRINTABLE = 0x13;
const PLAIN_NAME = /^[A-Za-z0-9.-]{1,64}$/;

/**
 * A request as `makeCsr` writes it for a name alone: its parts are written again, and must come out as it came in. The library takes three times as long, and
 * hosts ask by the hundred. Null for every other form, and where the signature does not hold: the library then says what is wrong.
 */
function readOwn(csr_pem: string): Awaited<ReturnType<typeof readCsr>> | null {
  const [, base64 = ""] = OWN_PEM.exec(csr_pem) ?? [];
  const der = Buffer.from(base64, "base64");
  const name_at = der.indexOf(OWN.common_name) + OWN.common_name.length;
  const key_at = der.indexOf(OWN.key, name_at);
  if (name_at < OWN.common_name.length || key_at < 0) return null;
  const name = der.subarray(name_at + 2, key_at);
  if (!PLAIN_NAME.test(name.toString("latin1"))) return null;
  const point = der.subarray(key_at + OWN.key.length, key_at + OWN.key.length + 64);
  const subject = tlv(0x30, tlv(0x31, tlv(0x30, OWN.common_name, tlv(PRINTABLE, name))));
  const signed = tlv(0x30, OWN.version, subject, OWN.key, point, OWN.attributes);
  const signature = der.subarray(
    key_at + OWN.key.length + 64 + OWN.attributes.length + OWN.algorithm.length + 3,
  );
  if (!tlv(0x30, signed, OWN.algorithm, tlv(0x03, Buffer.alloc(1), signature)).equals(der)) return null;
  const [x, y] = [point.toString("base64url", 0, 32), point.toString("base64url", 32)];
  try {
    const public_key = createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
    if (!holds("SHA256", signed, public_key, signature)) return null;
    return { public_key, subject: `CN=${name.toString("latin1")}`, extensions: [] };
  } catch {
    return null;
  }
}
const OWN_PEM =
  /^-----BEGIN CERTIFICATE REQUEST-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE REQUEST-----\n?$/;

/** One element of DER (X.690 §8.1.3). */
function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, { length }) => sum + length, 0);
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(head), ...parts]);
}

/** False also for a digest that the key cannot be used with. */
function holds(digest: string | null, signed: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  try {
    return verify(digest, signed, key, signature);
  } catch {
    return false;
  }
}

/** The first element of a DER sequence, with its header: of a request what its signature is over (RFC 2986 §4.2, X.690 §8.1.3). */
function firstElement(der: Buffer): Uint8Array {
  const bodyOf = (at: number) => {
    const length = der.readUInt8(at + 1);
    const more = length < 0x80 ? 0 : length - 0x80;
    return { start: at + 2 + more, length: more === 0 ? length : der.readUIntBE(at + 2, more) };
  };
  const { start } = bodyOf(0);
  const first = bodyOf(start);
  return der.subarray(start, first.start + first.length);
}

/**
 * A self-signed P-256 CA that may sign leaves only (path length 0). `not_after` in milliseconds since 1970; `unit` is the
 * subject's OU (the broker CA holds the hash of the anchored keys there).
 */
export async function makeCa(options: {
  common_name: string;
  not_after: number;
  unit?: string;
}): Promise<Ca> {
  const x509 = await library();
  const { private_pem } = makeKey("p256");
  const { keys } = await importPair(private_pem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serial(),
      name: [
        { CN: [checkedName(options.common_name)] },
        ...(options.unit === undefined ? [] : [{ OU: [checkedName(options.unit)] }]),
      ],
      notBefore: new Date(Date.now() - CLOCK_SLACK_MS),
      notAfter: new Date(options.not_after),
      keys,
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate_pem: `${certificate.toString("pem")}\n`, private_pem };
}

/**
 * A TLS server certificate with a fresh P-256 key, signed by the CA: digitalSignature, serverAuth (and clientAuth with
 * `also_client`), all names as subject alternative names. A name in `dns_names` is DNS, in `ip_addresses` IPv4 or IPv6.
 */
export async function issue(ca: Ca, options: IssueOptions): Promise<Issued> {
  const x509 = await library();
  const names = alternativeNames(options);
  if (names.length === 0)
    throw new FleetError("INVALID", "a server certificate needs a DNS name or an address");
  const { private_pem } = makeKey("p256");
  const leaf = await importPair(private_pem);
  const issuer = await importPair(ca.private_pem);
  const ca_certificate = new x509.X509Certificate(ca.certificate_pem);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial(),
      subject: [{ CN: [checkedName(options.common_name)] }],
      issuer: ca_certificate.subjectName,
      notBefore: new Date(Date.now() - CLOCK_SLACK_MS),
      notAfter: new Date(options.not_after),
      publicKey: leaf.keys.publicKey,
      signingKey: issuer.keys.privateKey,
      signingAlgorithm: issuer.algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(options.also_client ? [EKU_SERVER, EKU_CLIENT] : [EKU_SERVER]),
        new x509.SubjectAlternativeNameExtension(names),
        await x509.SubjectKeyIdentifierExtension.create(leaf.keys.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(ca_certificate, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return {
    certificate_pem: `${certificate.toString("pem")}\n`,
    private_pem,
    not_after: certificate.notAfter.getTime(),
  };
}

/** RFC 5280 4.1.2.2: positive, at most 20 bytes; the first byte must not set the sign bit. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function checkedName(name: string): string {
  if (!/^[\x20-\x7e]{1,64}$/.test(name)) {
    throw new FleetError(
      "INVALID",
      `common name ${JSON.stringify(name.slice(0, 80))}: 1 to 64 printable ASCII characters`,
    );
  }
  return name;
}

function alternativeNames(subject: Subject): { type: "dns" | "ip"; value: string }[] {
  const names: { type: "dns" | "ip"; value: string }[] = [];
  for (const value of subject.dns_names ?? []) {
    if (
      !/^(?=.{1,253}$)(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*$/.test(
        value,
      ) ||
      isIP(value)
    ) {
      throw new FleetError("INVALID", `${JSON.stringify(value.slice(0, 80))} is not a DNS name`);
    }
    names.push({ type: "dns", value });
  }
  for (const value of subject.ip_addresses ?? []) {
    if (isIP(value) === 0 || value.includes("%")) {
      throw new FleetError("INVALID", `${JSON.stringify(value.slice(0, 80))} is not an IPv4 or IPv6 address`);
    }
    names.push({ type: "ip", value });
  }
  return names;
}

async function importPair(private_pem: string) {
  const key = privateKey(private_pem);
  const type = key.asymmetricKeyType;
  const p256 = type === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
  if (type !== "ed25519" && !p256) throw new FleetError("INVALID", "the key must be Ed25519 or EC P-256");
  const algorithm = p256 ? P256 : ED25519;
  const pkcs8 = key.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  return {
    algorithm,
    keys: {
      privateKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]),
      publicKey: await webcrypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]),
    },
  };
}

function privateKey(private_pem: string) {
  try {
    return createPrivateKey(private_pem);
  } catch {
    // The parser's own error is left out: it can quote what it was given.
    throw new FleetError("INVALID", "the private key is not PKCS#8 PEM");
  }
}
