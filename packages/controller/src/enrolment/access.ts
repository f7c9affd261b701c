/** `enrol.access`: a person shows a certificate of the mount `operators` and gets onto the bus, for as long as the certificate lasts. */
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import {
  Access,
  type AccessReply,
  type AuditEntry,
  auditBy,
  type CommandMemory,
  type Grant,
  loadEnvelope,
  openCommand,
  type StoredEnvelope,
  subjects,
  type Verifier,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { type Issuer, LIFE_MS } from "../certificates/issuer.ts";
import type { Events } from "../events.ts";
import type { AccessRecords } from "../records/access.ts";
import type { HostRecords } from "../records/hosts.ts";
import { forStrangers } from "./join.ts";

export type AccessPorts = {
  readonly trust: { readonly verifier: Verifier; readonly stored: StoredEnvelope };
  readonly issuer: Issuer;
  readonly access: Pick<AccessRecords, "note">;
  readonly records: Pick<HostRecords, "seenBy">;
  readonly memory: CommandMemory;
  readonly audit: Pick<AuditDoor, "tell">;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
};

/** The reply to a signed access from `from` (the address as the broker saw it). Never throws a FleetError. */
export async function access(
  stored: StoredEnvelope,
  from: string | null,
  ports: AccessPorts,
): Promise<AccessReply> {
  let by: AuditEntry["by"] = null;
  const tell = (target: string, end: Pick<AuditEntry, "result" | "code">) => {
    const what = { kind: "enrolment" as const, what: "access", authority: "viewer" };
    ports.audit.tell(
      entryOf({ at: ports.now(), ...what, by, from: from ?? "an unknown address", target, ...end }),
    );
  };
  try {
    const now_ms = ports.now();
    const { verifier } = ports.trust;
    const envelope = loadEnvelope(stored);
    const { principal, body } = await openCommand(subjects.enrol("access"), envelope, verifier, "viewer", {
      now_ms,
      memory: ports.memory,
      acts: true,
    });
    by = auditBy(principal);
    // A controller's certificate is no person's: it has its own way onto the bus.
    if (principal.rank === "controller")
      throw new FleetError("NOT_ALLOWED", `${principal.name} is a controller`);
    const { id } = parseJson(Access, body, "access");
    const { guest } = principal;
    const role = guest !== null ? "guest" : principal.rank === "viewer" ? "viewer" : "operator";
    const expires_ms = Math.min(now_ms + LIFE_MS.person, principal.not_after_ms);
    const tags = guest === null ? [] : tagsOf(guest, ports.records);
    const jwt = await ports.issuer.userJwt(role, { name: principal.name, key: id, expires_ms, tags });
    await ports.access.note({
      ...{ id, name: principal.name, kind: guest === null ? "login" : "invited" },
      ...{ rank: principal.rank, groups: guest?.groups == null ? null : [...guest.groups] },
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
    tell(`${role} ${id}`, { result: "done", code: null });
    return { status: "granted", user_jwt: jwt.text, expires: jwt.not_after, bundle: ports.trust.stored };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    tell("the bus", { result: "refused", code: error.code });
    return { status: "refused", error: forStrangers(error) };
  }
}

/** A client's first line may hold 4 KiB, and its JWT is in it. */
const TAG_BYTES = 2_000;

/**
 * What a guest may hear and ask directly: hosts by name and by key. Of a group with too many hosts for a JWT nothing is: such a guest has the controllers'
 * pages, which are as fresh.
 */
function tagsOf(guest: Grant, records: Pick<HostRecords, "seenBy">): string[] {
  if (guest.groups === null) return ["host:*", "id:*"];
  const tags = records.seenBy(guest).flatMap(({ name, id }) => [`host:${name}`, `id:${id}`]);
  return JSON.stringify(tags).length > TAG_BYTES ? [] : tags;
}
