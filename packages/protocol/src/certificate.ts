/**
 * On whose authority: reads an X.509 certificate of a person or controller and checks it against the pinned issuing CA of its mount.
 * There is no common root: a certificate of another mount is refused whatever it says. Source: RFC 5280 §4.1–4.2.
 */
import { X509Certificate } from "node:crypto";
import { FleetError } from "./errors.ts";
import { type Grant, readGrant } from "./invite.ts";

/** `kit` is the recovery kit's admin: everything that it does is announced loudly. */
export type Rank = "viewer" | "operator" | "admin" | "ci" | "controller";

/** What a method, manifest or bundle asks of its signer. */
export type Authority = "none" | "viewer" | "controller" | "operator" | "admin";

export type Principal = {
  readonly rank: Rank;
  readonly name: string;
  /** SHA-256 of the certificate, hexadecimal. */
  readonly fingerprint: string;
  readonly kit: boolean;
  /** What somebody who was invited may see; null for everybody else. */
  readonly guest: Grant | null;
  readonly not_before_ms: number;
  readonly not_after_ms: number;
};

/** PEM certificates of the issuing CAs, by mount. */
export type Issuers = { readonly operators: readonly string[]; readonly controllers: readonly string[] };

const ALLOWS: Record<Authority, readonly Rank[]> = {
  none: ["viewer", "operator", "admin", "ci", "controller"],
  viewer: ["viewer", "operator", "admin", "ci", "controller"],
  controller: ["operator", "admin", "controller"],
  operator: ["operator", "admin"],
  admin: ["admin"],
};

/** Whether a principal of that rank may do what asks for `authority`. A `ci` principal may plan and sign releases, and read. */
export function permits(authority: Authority, rank: Rank, signs_release = false): boolean {
  return ALLOWS[authority].includes(rank) || (rank === "ci" && authority === "operator" && signs_release);
}

const OU_RANK: Record<string, { rank: Rank; kit: boolean; mount: keyof Issuers }> = {
  viewer: { rank: "viewer", kit: false, mount: "operators" },
  operator: { rank: "operator", kit: false, mount: "operators" },
  admin: { rank: "admin", kit: false, mount: "operators" },
  ci: { rank: "ci", kit: false, mount: "operators" },
  guest: { rank: "viewer", kit: false, mount: "operators" },
  kit: { rank: "admin", kit: true, mount: "operators" },
  controller: { rank: "controller", kit: false, mount: "controllers" },
};

function subjectField(certificate: X509Certificate, field: string): string {
  // An empty subject is undefined here, whatever the types say.
  const lines = ((certificate.subject as string | undefined) ?? "")
    .split("\n")
    .filter((line) => line.startsWith(`${field}=`));
  const [line] = lines;
  if (line === undefined || lines.length > 1) {
    throw new FleetError("BAD_CERTIFICATE", `its subject must hold ${field} exactly once`);
  }
  return line.slice(field.length + 1);
}

/** A guest's certificate says what it is for in its one URI (the person's name stands beside it): without it, it is for nothing. */
function grantOf(certificate: X509Certificate): Grant {
  const uris = (certificate.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  const [, text = ""] = /^URI:muster:guest:([^,"]+)$/.exec(uris[0] ?? "") ?? [];
  const grant = readGrant(text);
  if (grant === null || uris.length > 1)
    throw new FleetError("BAD_CERTIFICATE", "it does not say what its guest may see");
  return grant;
}

function reader(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new FleetError("BAD_CERTIFICATE", "it cannot be read", { cause });
  }
}

/** Reads certificates once: checking the signature of one costs about 0.2 ms, and a signer comes again and again. */
export class CertificateReader {
  readonly #issuers: Issuers;
  readonly #seen = new Map<string, { principal: Principal; key: X509Certificate["publicKey"] }>();

  constructor(issuers: Issuers) {
    this.#issuers = issuers;
  }

  /**
   * The principal that `der` (base64) names, and its key, judged at `at_ms`.
   * Errors: BAD_CERTIFICATE when it cannot be read, has another issuer, a wrong key type or usage, or is not valid at that time.
   */
  read(der: string, at_ms: number): { principal: Principal; key: X509Certificate["publicKey"] } {
    let entry = this.#seen.get(der);
    if (entry === undefined) {
      entry = this.#checked(der);
      if (this.#seen.size >= 1_000) this.#seen.clear();
      this.#seen.set(der, entry);
    }
    const { principal } = entry;
    if (at_ms < principal.not_before_ms || at_ms > principal.not_after_ms) {
      const span = `${new Date(principal.not_before_ms).toISOString()} to ${new Date(principal.not_after_ms).toISOString()}`;
      throw new FleetError(
        "BAD_CERTIFICATE",
        `${principal.name}: valid ${span}, used at ${new Date(at_ms).toISOString()}`,
      );
    }
    return entry;
  }

  /** The library throws of itself at odd keys and names; whoever sent them must not be able to end the program. */
  #checked(der: string): ReturnType<CertificateReader["read"]> {
    try {
      return this.#check(der);
    } catch (cause) {
      if (cause instanceof FleetError) throw cause;
      throw new FleetError("BAD_CERTIFICATE", "it cannot be read", { cause });
    }
  }

  #check(der: string): { principal: Principal; key: X509Certificate["publicKey"] } {
    const certificate = reader(`-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----`);
    const unit = subjectField(certificate, "OU");
    const rank = Object.hasOwn(OU_RANK, unit) ? OU_RANK[unit] : undefined;
    if (rank === undefined) throw new FleetError("BAD_CERTIFICATE", "its OU is not a rank");
    const issuer = this.#issuers[rank.mount]
      .map(reader)
      .find((ca) => ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey));
    if (issuer === undefined)
      throw new FleetError("BAD_CERTIFICATE", `not issued by the CA of ${rank.mount}`);
    if (certificate.ca) throw new FleetError("BAD_CERTIFICATE", "a CA's certificate signs no messages");
    if (certificate.publicKey.asymmetricKeyType !== "ed25519") {
      throw new FleetError("BAD_CERTIFICATE", "its key must be Ed25519");
    }
    const guest = unit === "guest" ? grantOf(certificate) : null;
    const principal: Principal = {
      rank: rank.rank,
      kit: rank.kit,
      guest,
      name: subjectField(certificate, "CN"),
      fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
      not_before_ms: Date.parse(certificate.validFrom),
      not_after_ms: Math.min(Date.parse(certificate.validTo), guest?.ends ?? Number.POSITIVE_INFINITY),
    };
    return { principal, key: certificate.publicKey };
  }
}
