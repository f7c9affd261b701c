/**
 * Keeps the three credentials fresh: one loop, one request for all that is due. When the broker no longer takes our JWT (lost, expired, revoked)
 * the way back is enrolment with the bound key.
 */
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { RenewReply, type RenewRequest } from "@muster/protocol/enrolment";
import { ErrorReply, FleetError, parseJson } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import {
  CREDENTIAL_NAMES,
  type CredentialName,
  type CredentialStore,
  isAlarming,
  isDue,
} from "./credentials.ts";
import type { Events } from "./events.ts";
import type { Identity } from "./identity.ts";
import { backoff_ms, jittered, pause } from "./wait.ts";

const WIRE = { bus: "user_jwt", service: "service_certificate", ssh: "ssh_certificate" } as const;
const REQUEST_MS = 15_000;
const LOOK_PERIOD_MS = 60_000;

export type RenewalDoor = {
  readonly bus: Bus;
  readonly identity: Identity;
  readonly credentials: CredentialStore;
  readonly events: Events;
  readonly log: Log;
  readonly now: () => number;
  /** New certificates are there to be installed. */
  renewed(names: readonly CredentialName[]): Promise<void>;
};

const Answer = z.union([z.object({ error: ErrorReply }), z.object({ ok: RenewReply }), RenewReply]);

/** Runs until the signal aborts. */
export async function renewLoop(door: RenewalDoor, signal: AbortSignal): Promise<void> {
  const jitter = new Map<string, number>();
  const alarmed = new Set<string>();
  let attempt = 0;
  while (!signal.aborted) {
    const due = dueNames(door, jitter, alarmed);
    if (due.length === 0 || !door.bus.connected) {
      await pause(jittered(LOOK_PERIOD_MS, 0.1), signal);
      continue;
    }
    try {
      await renew(door, due, signal);
      attempt = 0;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return;
      const next_ms = backoff_ms(attempt++) * 4;
      door.log.warn({ code: error.code, next_ms }, `renewal of ${due.join(", ")}: ${error.message}`);
      await pause(next_ms, signal);
    }
  }
}

function dueNames(door: RenewalDoor, jitter: Map<string, number>, alarmed: Set<string>): CredentialName[] {
  const kept = door.credentials.kept;
  if (kept === null) return [];
  const now_ms = door.now();
  return CREDENTIAL_NAMES.filter((name) => {
    const span = kept.spans[name];
    const life = `${name} ${span.to}`;
    const factor = jitter.get(life) ?? jittered(1_000, 0.1) / 1_000;
    if (jitter.size > 32) jitter.clear();
    jitter.set(life, factor);
    if (isAlarming(span, now_ms) && !alarmed.has(life)) {
      alarmed.add(life);
      const day = new Date(span.to).toISOString().slice(0, 16);
      door.events.tell({
        kind: "credentials",
        severity: "error",
        what: `the ${name} credential ends ${day}Z and could not be renewed`,
      });
    }
    return isDue(name, span, factor, now_ms);
  });
}

async function renew(
  door: RenewalDoor,
  names: readonly CredentialName[],
  signal: AbortSignal,
): Promise<void> {
  const { bus, identity, credentials } = door;
  const kept = credentials.kept;
  if (kept === null) return;
  const request: RenewRequest = { v: 1, what: names.map((name) => WIRE[name]) };
  if (names.includes("service")) {
    const { makeCsr } = await import("@muster/ports/csr");
    request.csr = await makeCsr(identity.tls_pem, { common_name: kept.host });
  }
  if (names.includes("ssh")) request.ssh_public_key = identity.ssh.public_key;
  const message = await bus.request(
    subjects.host(identity.id, "renew"),
    Buffer.from(JSON.stringify(request)),
    {
      timeout_ms: REQUEST_MS,
      signal,
    },
  );
  const answer = parseJson(Answer, message.body, "answer to renew");
  if ("error" in answer) throw FleetError.fromReply(answer.error);
  const fresh = RenewReply.parse("ok" in answer ? answer.ok : answer);
  const missing = names.filter((name) => fresh[WIRE[name]] === undefined);
  if (missing.length === names.length)
    throw new FleetError("FAILED", `the controller renewed nothing of ${names.join(", ")}`);
  const given = Object.fromEntries(Object.entries(fresh).filter(([, value]) => value !== undefined));
  await credentials.take(kept.host, given, identity, door.now());
  door.log.info({ names }, "credentials were renewed");
  await door.renewed(names);
}
