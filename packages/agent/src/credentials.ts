/**
 * What the fleet issued to this host: bus JWT, service certificate, ssh host certificate and, where a person gave it one, its own log-in at Vault.
 * Kept in one file. When each is renewed is `renewal.ts`; installing the certificates is `certificates.ts`.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Convergence } from "@muster/protocol";
import { Credentials } from "@muster/protocol/enrolment";
import { FleetError } from "@muster/protocol/errors";
import { HostLogin } from "@muster/protocol/host-vault";
import { Joined } from "@muster/protocol/join";
import { readJwt } from "@muster/protocol/jwt";
import { HostName, Instant } from "@muster/protocol/names";
import { z } from "zod";
import type { Identity } from "./identity.ts";
import { readSshCertificate } from "./sshkey.ts";
import { readKept, writeKept } from "./store.ts";

/** `from` is when this host got it: certificates are dated back, for clocks that are late. */
const Span = z.object({ from: Instant, to: Instant });
export type Span = z.infer<typeof Span>;
const Kept = z.object({
  host: HostName,
  credentials: Credentials,
  /** The host's own log-in at Vault. */
  identity: HostLogin.optional(),
  /** What a join string brought for it, until it was used or has lapsed. */
  join_token: z.object({ token: z.string(), instance: z.string(), until: Instant }).optional(),
  /** By whose word it was let in. */
  joined: Joined.optional(),
  spans: z.object({ bus: Span, identity: Span.optional(), service: Span, ssh: Span }),
});
/** As far as a challenged command lets them be. */
const CLOCKS_APART_MS = 3_600_000;
export type KeptCredentials = z.infer<typeof Kept>;

export const CREDENTIAL_NAMES = ["bus", "identity", "service", "ssh"] as const;
export type CredentialName = (typeof CREDENTIAL_NAMES)[number];

export class CredentialStore {
  readonly #file: string;
  #kept: KeptCredentials | null;

  private constructor(file: string, kept: KeptCredentials | null) {
    this.#file = file;
    this.#kept = kept;
  }

  /** Reads what is kept; what is damaged is gone, since enrolment brings it back by the host's own key, and so is what somebody took away, who wants just that. */
  static async open(file: string): Promise<CredentialStore> {
    try {
      return new CredentialStore(file, (await readKept(file, Kept, "nothing"))?.value ?? null);
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
    return this.#keep({
      ...this.#kept,
      host,
      credentials,
      spans: { ...this.#kept?.spans, ...spansOf(host, credentials, identity, now_ms, this.#kept) },
    });
  }

  /**
   * As `take`, for an answer that nothing binds to its question: a broker may give an old one again.
   * Errors: as `take`, and REPLAYED for what is held already or was issued before it.
   */
  async renew(
    host: string,
    fresh: Partial<Credentials>,
    identity: Identity,
    now_ms: number,
  ): Promise<KeptCredentials> {
    const held = this.#required().credentials;
    for (const name of Credentials.keyof().options) {
      const text = fresh[name];
      if (text !== undefined && !isNewer(name, text, held[name], now_ms))
        throw new FleetError("REPLAYED", `the ${name} that came was issued before the one held, or is it`);
    }
    return this.take(host, fresh, identity, now_ms);
  }

  /** Keeps a log-in at Vault, in place of the one before. Errors: BAD_CERTIFICATE, NOT_LOGGED_IN before the host is enrolled. */
  async takeLogin(login: HostLogin, now_ms: number): Promise<KeptCredentials> {
    const { join_token: _used, ...before } = this.#required();
    const span = spanOfLogin(login, now_ms);
    return this.#keep({
      ...before,
      identity: HostLogin.parse(login),
      spans: { ...before.spans, identity: span },
    });
  }

  /** Keeps what a join string brought for the log-in; null forgets it. */
  async holdToken(token: KeptCredentials["join_token"] | null): Promise<KeptCredentials> {
    const { join_token: _before, ...kept } = this.#required();
    return this.#keep(token == null ? kept : { ...kept, join_token: token });
  }

  async holdJoined(joined: Joined): Promise<KeptCredentials> {
    return this.#keep({ ...this.#required(), joined });
  }

  expiries(): Convergence["certificates"] {
    const kept = this.#kept;
    if (kept === null) return [];
    return CREDENTIAL_NAMES.flatMap((name) => {
      const span = kept.spans[name];
      return span === undefined ? [] : [{ name, not_before: span.from, not_after: span.to }];
    });
  }

  /** The same, for whoever shows certificates: with the text of the one that is X.509 and serves others. */
  x509(): { name: string; not_before: number; not_after: number; pem: string | null }[] {
    const pem = this.#kept?.credentials.service_certificate ?? null;
    return this.expiries().map(({ name, not_before = 0, not_after }) => ({
      ...{ name, not_before, not_after },
      pem: name === "service" ? pem : null,
    }));
  }

  #required(): KeptCredentials {
    if (this.#kept === null) throw new FleetError("NOT_LOGGED_IN", "this host is not enrolled");
    return this.#kept;
  }

  async #keep(kept: KeptCredentials): Promise<KeptCredentials> {
    await writeKept(this.#file, kept);
    this.#kept = kept;
    return kept;
  }
}

function spanOfLogin({ certificate, key_pem, instance }: HostLogin, now_ms: number): Span {
  const read = certificateOf(certificate, "identity");
  if (!read.checkPrivateKey(createPrivateKey(key_pem)))
    throw new FleetError("BAD_CERTIFICATE", "the identity certificate is for another key");
  if (!read.subject.split("\n").includes(`CN=${instance}`))
    throw new FleetError("BAD_CERTIFICATE", `the identity certificate is for ${read.subject}`);
  return spanOf(read, now_ms);
}

const spanOf = (certificate: X509Certificate, now_ms: number): Span => ({
  from: Math.max(Date.parse(certificate.validFrom), Math.min(now_ms, Date.parse(certificate.validTo))),
  to: Date.parse(certificate.validTo),
});

function spansOf(
  host: string,
  credentials: Credentials,
  identity: Identity,
  now_ms: number,
  before: KeptCredentials | null,
): Omit<KeptCredentials["spans"], "identity"> {
  const jwt = readJwt(credentials.user_jwt);
  if (jwt.sub !== identity.id || jwt.name !== host)
    throw new FleetError(
      "BAD_CERTIFICATE",
      `the bus JWT is for ${jwt.name ?? "?"}, not for ${host} and its key`,
    );
  const service = certificateOf(credentials.service_certificate, "service");
  if (!service.checkPrivateKey(identity.tls_key))
    throw new FleetError("BAD_CERTIFICATE", "the service certificate is for another key");
  const ssh = readSshCertificate(credentials.ssh_certificate);
  if (!ssh.host || ssh.public_key !== identity.ssh.public_key || !ssh.principals.includes(host))
    throw new FleetError(
      "BAD_CERTIFICATE",
      "the ssh certificate is not a host certificate for this name and key",
    );
  const span = (name: keyof typeof SPAN_OF, fresh: Span): Span =>
    before !== null && before.credentials[name] === credentials[name] ? before.spans[SPAN_OF[name]] : fresh;
  return {
    bus: span("user_jwt", {
      from: Math.min(jwt.iat * 1_000, now_ms),
      to: (jwt.exp ?? 253_402_300_799) * 1_000,
    }),
    service: span("service_certificate", spanOf(service, now_ms)),
    ssh: span("ssh_certificate", {
      from: Math.max(ssh.not_before_ms, Math.min(now_ms, ssh.not_after_ms)),
      to: ssh.not_after_ms,
    }),
  };
}

/** Pure. What is held says nothing where it was issued by a clock that was ahead. */
function isNewer(name: keyof Credentials, text: string, held: string, now_ms: number): boolean {
  const before = issuedAt(name, held);
  return text !== held && (before > now_ms + CLOCKS_APART_MS || issuedAt(name, text) >= before);
}

/** Errors: BAD_CERTIFICATE, INVALID, BAD_SIGNATURE. */
function issuedAt(name: keyof Credentials, text: string): number {
  switch (name) {
    case "user_jwt":
      return readJwt(text).iat * 1_000;
    case "service_certificate":
      return Date.parse(certificateOf(text, "service").validFrom);
    case "ssh_certificate":
      return readSshCertificate(text).not_before_ms;
  }
}

const SPAN_OF = { user_jwt: "bus", service_certificate: "service", ssh_certificate: "ssh" } as const;

function certificateOf(pem: string, which: "service" | "identity"): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new FleetError("BAD_CERTIFICATE", `the ${which} certificate cannot be read`, { cause });
  }
}
