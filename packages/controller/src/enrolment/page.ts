/** `enrol.page`: a web page shows the ticket that its person got by `ctl dashboard`, once, and gets onto the bus as a page, as long as the person's certificate lasts. */
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import {
  type AuditEntry,
  auditBy,
  type PageReply,
  type PageRequest,
  type Principal,
  type Verifier,
} from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { type Issuer, LIFE_MS } from "../certificates/issuer.ts";
import type { AccessRecords } from "../records/access.ts";
import { forStrangers } from "./join.ts";
import type { Tickets } from "./tickets.ts";

export type PagePorts = {
  readonly fleet: string;
  readonly trust: { readonly verifier: Verifier };
  readonly issuer: Issuer;
  readonly access: Pick<AccessRecords, "create">;
  readonly tickets: Pick<Tickets, "takePage">;
  readonly audit: Pick<AuditDoor, "tell">;
  readonly now: () => number;
};

/** The reply to a page at `from` (the address as the broker saw it). Never throws a FleetError. */
export async function page(
  { ticket, id }: PageRequest,
  from: string | null,
  ports: PagePorts,
): Promise<PageReply> {
  const now_ms = ports.now();
  let by: AuditEntry["by"] = null;
  const tell = (target: string, end: Pick<AuditEntry, "result" | "code">) => {
    const what = { kind: "enrolment" as const, what: "page", authority: "viewer" };
    ports.audit.tell(
      entryOf({ at: now_ms, ...what, by, from: from ?? "an unknown address", target, ...end }),
    );
  };
  try {
    const principal = await ports.tickets.takePage(sha256(Buffer.from(ticket)), now_ms);
    by = auditBy(principal);
    const { name, fingerprint, kit, not_before_ms: certified_at } = principal;
    const rank = rankOf(principal);
    // He may have been revoked since he asked for the ticket.
    if (ports.trust.verifier.voided(principal, now_ms)) throw new FleetError("VOIDED", name);
    const expires_ms = Math.min(now_ms + LIFE_MS.person, principal.not_after_ms);
    const jwt = await ports.issuer.userJwt("page", { name, key: id, expires_ms });
    await ports.access.create({
      ...{ id, name, kind: "page", rank, kit, groups: null, certificate: fingerprint, certified_at },
      ...{ given_at: now_ms, given_by: name, ends: jwt.not_after, revoked: null },
    });
    tell(`page ${id}`, { result: "done", code: null });
    return {
      status: "granted",
      user_jwt: jwt.text,
      expires: jwt.not_after,
      fleet: ports.fleet,
      person: name,
      rank,
    };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    tell("the bus", { result: "refused", code: error.code });
    return { status: "refused", error: forStrangers(error) };
  }
}

/** The page is for people, who were told so when they asked for the ticket. */
function rankOf({ name, rank }: Principal): "viewer" | "operator" | "admin" {
  if (rank === "controller" || rank === "ci") throw new FleetError("NOT_ALLOWED", `${name} is no person`);
  return rank;
}
