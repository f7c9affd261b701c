/**
 * What the fleet issued to this host: bus JWT, service certificate, ssh host certificate. Kept in one file; one rule for all three says when
 * each is renewed and when somebody must be told. Installing the certificates is `certificates.ts`.
 */
import { X509Certificate } from "node:crypto";
import type { Convergence } from "@muster/protocol";
import { Credentials } from "@muster/protocol/enrolment";
import { FleetError } from "@muster/protocol/errors";
import { readJwt } from "@muster/protocol/jwt";
import { HostName, Instant } from "@muster/protocol/names";
import { z } from "zod";
import type { Identity } from "./identity.ts";
import { readSshCertificate } from "./sshkey.ts";
import { readKept, writeKept } from "./store.ts";

const Spans = z.object({ from: Instant, to: Instant });
const Kept = z.object({
  host: HostName,
  credentials: Credentials,
  spans: z.object({ bus: Spans, service: Spans, ssh: Spans }),
});
export type KeptCredentials = z.infer<typeof Kept>;

export type CredentialName = keyof KeptCredentials["spans"];
export const CREDENTIAL_NAMES: readonly CredentialName[] = ["bus", "service", "ssh"];

/** Of each life the part after which it is renewed: a JWT of 7 days after one, certificates of 30 days after 10. */
const RENEW_AFTER: Record<CredentialName, number> = { bus: 1 / 7, service: 1 / 3, ssh: 1 / 3 };
/** Revocation is immediate, so lives are long, and the alarm comes while there is time to act. */
const ALARM_LEFT = 1 / 3;

/** Whether it is time to renew. `jitter` in 0.9 to 1.1, kept for the life of the credential, spreads a fleet that was enrolled at once. */
export function isDue(
  name: CredentialName,
  span: { from: number; to: number },
  jitter: number,
  now_ms: number,
): boolean {
  return now_ms >= span.from + (span.to - span.from) * RENEW_AFTER[name] * jitter;
}

/** Whether renewal has failed for so long that somebody must look. */
export const isAlarming = (span: { from: number; to: number }, now_ms: number) =>
  span.to - now_ms < (span.to - span.from) * ALARM_LEFT;

export class CredentialStore {
  readonly #file: string;
  #kept: KeptCredentials | null;

  private constructor(file: string, kept: KeptCredentials | null) {
    this.#file = file;
    this.#kept = kept;
  }

  /** Reads what is kept; what is damaged is gone, since enrolment brings it back by the host's own key. */
  static async open(file: string): Promise<CredentialStore> {
    try {
      return new CredentialStore(file, (await readKept(file, Kept))?.value ?? null);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      return new CredentialStore(file, null);
    }
  }

  get kept(): KeptCredentials | null {
    return this.#kept;
  }

  /** Whether the bus will take the JWT at that time. */
  usable(now_ms: number): boolean {
    return this.#kept !== null && now_ms < this.#kept.spans.bus.to;
  }

  /** Checks new credentials against this host's keys and keeps them. Errors: BAD_CERTIFICATE, INVALID, BAD_SIGNATURE. */
  async take(
    host: string,
    fresh: Partial<Credentials>,
    identity: Identity,
    now_ms: number,
  ): Promise<KeptCredentials> {
    const credentials = Credentials.parse({ ...this.#kept?.credentials, ...fresh });
    const kept: KeptCredentials = {
      host,
      credentials,
      spans: spansOf(host, credentials, identity, now_ms, this.#kept),
    };
    await writeKept(this.#file, kept);
    this.#kept = kept;
    return kept;
  }

  expiries(): Convergence["certificates"] {
    const kept = this.#kept;
    if (kept === null) return [];
    return CREDENTIAL_NAMES.map((name) => ({ name, not_after: kept.spans[name].to }));
  }
}

function spansOf(
  host: string,
  credentials: Credentials,
  identity: Identity,
  now_ms: number,
  before: KeptCredentials | null,
): KeptCredentials["spans"] {
  const jwt = readJwt(credentials.user_jwt);
  if (jwt.sub !== identity.id || jwt.name !== host)
    throw new FleetError(
      "BAD_CERTIFICATE",
      `the bus JWT is for ${jwt.name ?? "?"}, not for ${host} and its key`,
    );
  const service = serviceCertificate(credentials.service_certificate);
  if (!service.checkPrivateKey(identity.tls_key))
    throw new FleetError("BAD_CERTIFICATE", "the service certificate is for another key");
  const ssh = readSshCertificate(credentials.ssh_certificate);
  if (!ssh.host || ssh.public_key !== identity.ssh.public_key || !ssh.principals.includes(host))
    throw new FleetError(
      "BAD_CERTIFICATE",
      "the ssh certificate is not a host certificate for this name and key",
    );
  const same = (name: keyof Credentials) => before?.credentials[name] === credentials[name];
  return {
    bus: {
      from: same("user_jwt") && before !== null ? before.spans.bus.from : Math.min(jwt.iat * 1_000, now_ms),
      to: (jwt.exp ?? 253_402_300_799) * 1_000,
    },
    service: { from: Date.parse(service.validFrom), to: Date.parse(service.validTo) },
    ssh: { from: ssh.not_before_ms, to: ssh.not_after_ms },
  };
}

function serviceCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new FleetError("BAD_CERTIFICATE", "the service certificate cannot be read", { cause });
  }
}
