/** `enrol.access`: a person shows a certificate of the mount `operators` and gets onto the bus, for as long as the certificate lasts. */
import {
  Access,
  type AccessReply,
  loadEnvelope,
  type NonceStore,
  openCommand,
  type StoredEnvelope,
  subjects,
  type Verifier,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { type Issuer, LIFE_MS } from "../certificates/issuer.ts";
import type { Events } from "../events.ts";
import type { AccessRecords } from "../records/access.ts";
import { forStrangers } from "./join.ts";

export type AccessPorts = {
  readonly trust: { readonly verifier: Verifier; readonly stored: StoredEnvelope };
  readonly issuer: Issuer;
  readonly access: Pick<AccessRecords, "note">;
  readonly nonces: NonceStore;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
};

/** The reply to a signed access. Never throws a FleetError. */
export async function access(stored: StoredEnvelope, ports: AccessPorts): Promise<AccessReply> {
  try {
    const now_ms = ports.now();
    const { verifier } = ports.trust;
    const envelope = loadEnvelope(stored);
    const { principal, body } = openCommand(subjects.enrol("access"), envelope, verifier, "viewer", {
      now_ms,
      nonces: ports.nonces,
    });
    // A controller's certificate is no person's: it has its own way onto the bus.
    if (principal.rank === "controller")
      throw new FleetError("NOT_ALLOWED", `${principal.name} is a controller`);
    const { id } = parseJson(Access, body, "access");
    const role = principal.rank === "viewer" ? "viewer" : "operator";
    const expires_ms = Math.min(now_ms + LIFE_MS.person, principal.not_after_ms);
    const jwt = await ports.issuer.userJwt(role, { name: principal.name, key: id, expires_ms });
    await ports.access.note({
      ...{ id, name: principal.name, kind: "login", rank: principal.rank, groups: null },
      certificate: principal.fingerprint,
      ...{ given_at: now_ms, given_by: principal.name, ends: jwt.not_after, revoked: null },
    });
    if (principal.kit)
      ports.events.emit({
        host: "_",
        kind: "kit",
        severity: "error",
        what: `${principal.name} logged in with the recovery kit`,
        by: principal.name,
      });
    return { status: "granted", user_jwt: jwt.text, expires: jwt.not_after, bundle: ports.trust.stored };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return { status: "refused", error: forStrangers(error) };
  }
}
