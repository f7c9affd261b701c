/** `enrol.join`: from a machine's signed claim to its admission, a place in the waiting room, or a refusal that says why. */
import { type AuditDoor, entryOf } from "@muster/ports/audit";
import {
  type AuditEntry,
  type Claim,
  hostFingerprint,
  type JoinReply,
  type JoinRequest,
  openJoinString,
  type StoredEnvelope,
  type Verifier,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Issuer } from "../certificates/issuer.ts";
import type { Events } from "../events.ts";
import type { HostRecords } from "../records/hosts.ts";
import { admit } from "./admission.ts";
import { type Decision, decide, nameFor } from "./decide.ts";
import { takeMark } from "./marks.ts";
import { checkProofs } from "./proofs.ts";
import type { Tickets } from "./tickets.ts";
import type { WaitingRoom } from "./waiting.ts";

export type JoinPorts = {
  readonly fleet: { readonly name: string; readonly anchor: string };
  readonly trust: { readonly verifier: Verifier; readonly stored: StoredEnvelope };
  readonly issuer: Issuer;
  readonly records: HostRecords;
  readonly tickets: Tickets;
  readonly waiting: WaitingRoom;
  readonly events: Pick<Events, "emit" | "emitForStranger">;
  readonly audit: Pick<AuditDoor, "tell">;
  readonly now: () => number;
};

/** How long a waiting machine lets pass before it asks again. */
const POLL_MS = 3_000;

/** Refusals that somebody should look at; the rest is ordinary. */
const ALARMING = new Set(["NAME_TAKEN", "JOIN_FORGED", "JOIN_USED", "JOIN_NETWORK", "BAD_PROOF"]);

/** The reply to one request from `from` (the address as the broker saw it). Never throws a FleetError. */
export async function join(request: JoinRequest, from: string | null, ports: JoinPorts): Promise<JoinReply> {
  const { claim } = request;
  try {
    return await joinOrThrow(request, from, ports);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    tell(claim, from, ports, { authority: "none", result: "refused", code: error.code });
    if (ALARMING.has(error.code)) {
      const severity = error.code === "NAME_TAKEN" ? "error" : "warning";
      const what = `a machine at ${from ?? "an unknown address"} that calls itself ${claim.name} was refused: ${error.message}`;
      ports.events.emitForStranger({ kind: "enrolment", severity, what });
    }
    return { status: "refused", nonce: claim.nonce, error: forStrangers(error) };
  }
}

async function joinOrThrow(request: JoinRequest, from: string | null, ports: JoinPorts): Promise<JoinReply> {
  const { claim } = request;
  const { tickets, waiting, records, fleet } = ports;
  const enrolled_as = records.nameOf(claim.id) ?? null;
  const joining = readJoining(claim, enrolled_as !== null, ports);
  // Nothing of these depends on another; a bad proof is what ends it, whatever else was found.
  const [, , spent_by, room] = await Promise.all([
    tickets.takeNonce(claim.nonce, claim.curve),
    checkProofs(request),
    joining === null ? null : tickets.spentBy(joining.claims.id),
    joining === null ? waiting.get(claim) : null,
  ]);
  const kept = await records.fetch(nameFor(claim, joining, enrolled_as, room));
  const decision = decide({
    fleet,
    claim,
    join: joining,
    spent_by,
    from,
    record: kept?.record ?? null,
    enrolled_as,
    waiting: room,
  });
  if (decision.verdict === "wait") return letWait(claim, from, room !== null, ports);

  const spend = async () => {
    if (joining !== null)
      await tickets.spend(joining.claims.id, claim.id, joining.claims.not_after, ports.now());
  };
  // Who comes back by its key alone has to be the one that it was; a join string is a person's word that it is.
  const by_key = decision.how === "recovered" && (joining === null || spent_by !== null);
  const marked =
    by_key && kept !== null
      ? await takeMark(kept, claim.mark, `from ${from ?? "an unknown address"}`, ports)
      : kept;
  const { credentials } = await admit(claim, decision, marked, { ...ports, by_key, spend });
  if (room !== null) await waiting.remove(claim.id);
  const severity = decision.how === "recovered" ? "warning" : "info";
  const what = sentence(decision, from);
  const authority = `${decision.how} by ${decision.by}`.slice(0, 100);
  tell(claim, from, ports, { authority, result: "done", code: null });
  ports.events.emit({ host: decision.name, kind: "enrolment", severity, what, by: decision.by });
  return {
    status: "admitted",
    nonce: claim.nonce,
    name: decision.name,
    credentials,
    bundle: ports.trust.stored,
  };
}

function tell(
  { name, id }: Claim,
  from: string | null,
  { audit, now }: JoinPorts,
  end: Pick<AuditEntry, "authority" | "result" | "code">,
): void {
  const target = `${name} ${hostFingerprint(id)}`.slice(0, 500);
  const where = from ?? "an unknown address";
  audit.tell(entryOf({ at: now(), kind: "enrolment", by: null, from: where, what: "join", target, ...end }));
}

/** The join string, proved. One that has lapsed does not stand in the way of a key that is enrolled: it may still lie on the machine's disk. */
function readJoining(
  claim: Claim,
  enrolled: boolean,
  ports: JoinPorts,
): ReturnType<typeof openJoinString> | null {
  if (claim.join === undefined) return null;
  try {
    return openJoinString(claim.join, ports.trust.verifier, ports.now());
  } catch (error) {
    if (error instanceof FleetError && error.code === "JOIN_EXPIRED" && enrolled) return null;
    throw error;
  }
}

async function letWait(
  claim: Claim,
  from: string | null,
  known: boolean,
  ports: JoinPorts,
): Promise<JoinReply> {
  const fingerprint = hostFingerprint(claim.id);
  if (!known && (await ports.waiting.add(claim, from))) {
    const what = `a machine at ${from ?? "an unknown address"} that calls itself ${claim.name} waits for approval: ctl enrol approve ${fingerprint}`;
    ports.events.emitForStranger({ kind: "enrolment", severity: "warning", what });
    tell(claim, from, ports, { authority: "none", result: "begun", code: "PENDING" });
  }
  return { status: "pending", nonce: claim.nonce, fingerprint, retry_ms: POLL_MS };
}

function sentence(decision: Extract<Decision, { verdict: "admit" }>, from: string | null): string {
  const where = `from ${from ?? "an unknown address"}`;
  if (decision.how === "recovered") return `came back by its own key, time ${decision.recoveries}, ${where}`;
  const by = decision.how === "joined" ? `by a join string of ${decision.by}` : `approved by ${decision.by}`;
  return `joined ${by}, ${where}`;
}

/** What a machine without credentials is told: Vault's own words are for the log. */
export function forStrangers(error: FleetError): { code: FleetError["code"]; detail: string } {
  const { code, detail } = error.toReply();
  return { code, detail: code.startsWith("VAULT_") ? "the controller cannot sign now" : detail };
}
