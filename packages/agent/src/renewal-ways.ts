/**
 * The two ways to fresh credentials. The bus JWT comes from a controller; certificates come from Vault by the host's own log-in, and from a
 * controller for a host that has none, or that cannot reach Vault's address.
 */
import type { Bus } from "@muster/ports/bus";
import type { TrustBundle } from "@muster/protocol";
import { RenewReply, type RenewRequest } from "@muster/protocol/enrolment";
import { ErrorReply, FleetError, parseJson } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import type { CredentialName, CredentialStore } from "./credentials.ts";
import type { Events } from "./events.ts";
import type { Identity } from "./identity.ts";
import type { Marks } from "./mark.ts";
import { askVault } from "./own-login.ts";
import type { Run } from "./ports/run.ts";
import type { Way } from "./renewal.ts";
import type { ExchangeOrder } from "./vault-exchange.ts";
import { Bell } from "./wait.ts";

const WIRE = { bus: "user_jwt", service: "service_certificate", ssh: "ssh_certificate" } as const;
const REQUEST_MS = 15_000;
/** A broker of a cluster may not yet have what another stored a moment ago; a controller says it once in 5 s. */
const UNKNOWN_TIMES = 2;

export type WaysDoor = {
  readonly bus: Bus;
  readonly run: Run;
  readonly identity: Identity;
  readonly credentials: CredentialStore;
  readonly marks: Marks;
  readonly bundle: () => TrustBundle | null;
  readonly events: Events;
  readonly vault_bell: Bell;
  readonly now: () => number;
  /** The controllers know no host with this key any more. */
  forgotten(): void;
};

export function waysOf(door: WaysDoor): Way[] {
  /** Vault's address did not answer when it was last asked. */
  let unreachable = false;
  /** How often controllers said, one after the other, that they know no such host. */
  let unknown = 0;
  const { credentials } = door;
  const by_controller: Way = {
    names: () =>
      credentials.kept?.identity === undefined || unreachable ? ["bus", "service", "ssh"] : ["bus"],
    wanted: () => [],
    open: () => door.bus.connected,
    bell: new Bell(),
    async renew(names, signal) {
      try {
        await askController(door, names, signal);
        unknown = 0;
      } catch (error) {
        if (!(error instanceof FleetError) || error.code !== "NOT_FOUND") throw error;
        unknown += 1;
        if (unknown >= UNKNOWN_TIMES) door.forgotten();
        throw error;
      }
    },
  };
  const by_vault: Way = {
    names: () => (credentials.kept?.identity === undefined ? ["identity"] : ["identity", "service", "ssh"]),
    wanted: () => (credentials.kept?.join_token === undefined ? [] : ["identity"]),
    open: () => (door.bundle()?.vault.length ?? 0) > 0,
    bell: door.vault_bell,
    async renew(names, signal) {
      try {
        await renewByVault(door, names, signal);
        unreachable = false;
      } catch (error) {
        unreachable = error instanceof FleetError && error.code === "VAULT_UNREACHABLE";
        throw error;
      }
    },
  };
  return [by_controller, by_vault];
}

const Answer = z.union([z.object({ error: ErrorReply }), z.object({ ok: RenewReply }), RenewReply]);

/** Everything that a controller gives, under another name. Errors: BAD_CERTIFICATE when the controllers have it under another; as a renewal. */
export function takeName(door: WaysDoor, name: string, signal: AbortSignal): Promise<void> {
  return askController(door, ["bus", "service", "ssh"], signal, name);
}

async function askController(
  door: WaysDoor,
  names: readonly CredentialName[],
  signal: AbortSignal,
  host = door.credentials.kept?.host,
): Promise<void> {
  const { bus, identity, credentials } = door;
  if (host === undefined) return;
  const wire = names.filter((name) => name !== "identity").map((name) => WIRE[name]);
  const mark = await door.marks.tell();
  const request: RenewRequest = { v: 1, what: wire, mark };
  if (names.includes("service")) {
    const { makeCsr } = await import("@muster/ports/csr");
    request.csr = await makeCsr(identity.tls_pem, { common_name: host });
  }
  if (names.includes("ssh")) request.ssh_public_key = identity.ssh.public_key;
  const message = await bus.request(
    subjects.host(identity.id, "renew"),
    Buffer.from(JSON.stringify(request)),
    { timeout_ms: REQUEST_MS, signal },
  );
  const answer = parseJson(Answer, message.body, "answer to renew");
  if ("error" in answer) throw FleetError.fromReply(answer.error);
  const fresh = RenewReply.parse("ok" in answer ? answer.ok : answer);
  if (wire.every((name) => fresh[name] === undefined))
    throw new FleetError("FAILED", `the controller renewed nothing of ${names.join(", ")}`);
  const given = Object.fromEntries(Object.entries(fresh).filter(([, value]) => value !== undefined));
  await credentials.renew(host, given, identity, door.now());
  // Last: papers that are refused leave it as it was, and a mark that was taken and is told again is no copy's.
  await door.marks.taken(mark);
}

async function renewByVault(
  door: WaysDoor,
  names: readonly CredentialName[],
  signal: AbortSignal,
): Promise<void> {
  const { identity, credentials } = door;
  const kept = credentials.kept;
  const bundle = door.bundle();
  if (kept === null || bundle === null) return;
  const order: Omit<ExchangeOrder, "by"> = {
    addresses: bundle.vault,
    ca_pem: bundle.vault_ca.join(""),
    fleet: bundle.fleet,
    host: kept.host,
    identity: names.includes("identity"),
    service_key_pem: names.includes("service") ? identity.tls_pem : null,
    ssh_public_key: names.includes("ssh") ? identity.ssh.public_key : null,
  };
  if (kept.join_token !== undefined) return firstLogin(door, kept.join_token, order, signal);
  if (kept.identity === undefined) return;
  const { identity: login, ...fresh } = await askVault(door.run, { ...order, by: kept.identity }, signal);
  if (login !== undefined) await credentials.takeLogin(login, door.now());
  if (Object.keys(fresh).length > 0) await credentials.take(kept.host, fresh, identity, door.now());
}

/** Once: what is not to be had by this token is not to be had by trying again. */
async function firstLogin(
  { run, credentials, events, now }: WaysDoor,
  { token, instance, until }: { token: string; instance: string; until: number },
  order: Omit<ExchangeOrder, "by">,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { identity } = await askVault(run, { ...order, by: { token, instance } }, signal);
    if (identity === undefined) throw new FleetError("FAILED", "Vault gave no identity certificate");
    await credentials.takeLogin(identity, now());
  } catch (error) {
    if (!(error instanceof FleetError) || signal.aborted) throw error;
    if (error.retryable && now() < until) throw error;
    await credentials.holdToken(null);
    events.tell({
      kind: "credentials",
      severity: error.code === "JOIN_FORGED" ? "error" : "warning",
      what: `no log-in at Vault came of the join string (${error.message}): ctl host identity ${order.host}`,
    });
    throw error;
  }
}
