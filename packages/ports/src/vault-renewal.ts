/**
 * When a Vault token is renewed and when its holder logs in again. `planRenewal` decides and is pure; `keepRenewed` is
 * the loop around it, which ends with its signal and never before: a failed renewal is tried again, for ever.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";

/** What Vault granted. `ttl_s` is Infinity for a token that never ends. `granted_s` is the first term: half of it or less at a renewal
 * means that the maximum life is near. */
export type Lease = { readonly ttl_s: number; readonly granted_s: number; readonly renewable: boolean };

export type RenewalPlan = { readonly verb: "renew" | "login" | "wait"; readonly after_ms: number };

/** A timer of Node overflows at 2^31 ms and then fires at once: longer waits are cut into these. */
const NAP_MS = 6 * 3_600_000;
const DAY_MS = 24 * 3_600_000;
const SOONEST_MS = 250;
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_LIMIT_MS = 60_000;

/**
 * At half of life, ±10 %: renew, or log in where renewing leads nowhere (not renewable, or cut short by the maximum life).
 * @param random uniform in 0..1
 */
export function planRenewal(lease: Lease, can_login: boolean, random: number): RenewalPlan {
  if (lease.ttl_s === Number.POSITIVE_INFINITY) return { verb: "wait", after_ms: DAY_MS };
  const after_ms = Math.max(SOONEST_MS, lease.ttl_s * 500 * (0.9 + 0.2 * random));
  const ending = !lease.renewable || lease.ttl_s <= lease.granted_s / 2;
  if (ending && can_login) return { verb: "login", after_ms };
  return { verb: lease.renewable ? "renew" : "wait", after_ms };
}

/** Full jitter between 0 and a limit that doubles with every failure up to a minute. */
export function backoff_ms(failures: number, random: number): number {
  return Math.round(random * Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 10)));
}

export type RenewalEvent =
  | { readonly type: "renewed" | "logged_in"; readonly ttl_s: number }
  | {
      readonly type: "failed";
      readonly verb: RenewalPlan["verb"];
      readonly error: unknown;
      readonly failures: number;
    };

/**
 * Runs until the signal aborts, then resolves.
 * @param verbs.login is left out when the token cannot be replaced (a person's); the loop then keeps trying to renew
 */
export async function keepRenewed(
  first: Lease | undefined,
  verbs: {
    lookup(): Promise<Lease>;
    renew(): Promise<Lease>;
    login?: (() => Promise<Lease>) | undefined;
    report?: ((event: RenewalEvent) => void) | undefined;
  },
  signal: AbortSignal,
): Promise<void> {
  let lease = first;
  let failures = 0;
  let verb: RenewalPlan["verb"] = "wait";
  while (!signal.aborted) {
    if (failures === 0 && lease !== undefined) {
      const plan = planRenewal(lease, verbs.login !== undefined, Math.random());
      verb = plan.verb;
      await nap(plan.after_ms, signal);
      if (signal.aborted) return;
    }
    try {
      if (verb === "login" && verbs.login !== undefined) {
        lease = await verbs.login();
        verbs.report?.({ type: "logged_in", ttl_s: lease.ttl_s });
      } else if (verb === "renew" && lease !== undefined) {
        lease = await renewOnce(verbs, lease);
        verbs.report?.({ type: "renewed", ttl_s: lease.ttl_s });
      } else {
        lease = await verbs.lookup();
      }
      failures = 0;
    } catch (error) {
      failures++;
      verbs.report?.({ type: "failed", verb, error, failures });
      // A refusal is not mended by asking again; a token that is gone needs a log-in.
      if (verbs.login !== undefined && (refused(error) || failures > 3)) verb = "login";
      await nap(backoff_ms(failures, Math.random()), signal);
    }
  }
}

async function renewOnce(verbs: { renew(): Promise<Lease> }, before: Lease): Promise<Lease> {
  const after = await verbs.renew();
  return { ...after, granted_s: Math.max(before.granted_s, after.ttl_s) };
}

function refused(error: unknown): boolean {
  return error instanceof FleetError && !error.retryable;
}

async function nap(duration_ms: number, signal: AbortSignal): Promise<void> {
  const until = Date.now() + duration_ms;
  while (!signal.aborted) {
    const left_ms = until - Date.now();
    if (left_ms <= 0) return;
    try {
      await sleep(Math.min(left_ms, NAP_MS), undefined, { signal, ref: false });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
