/**
 * Who of the controllers leads: a key in bucket `fleet` that goes by itself when its holder does not renew it. A dead leader is replaced
 * within 5 s (3 s of life, 1 s that the broker may take, and the next try of the others); a leader that ends gives the lease back.
 */
import type { KeyValue } from "@muster/ports/bus";
import { FleetError } from "@muster/protocol/errors";
import { pause } from "../retry.ts";

const KEY = "leader";
const LIFE_S = 3;
const RENEW_MS = 1_000;
const TRY_MS = 700;

export type LeaseOptions = {
  readonly kv: KeyValue;
  readonly id: string;
  /** Hears every change; not awaited. */
  readonly changed: (leading: boolean) => void;
  readonly failed: (error: FleetError) => void;
  /** The bucket took a write, or refused it as it should. */
  readonly answered: () => void;
};

/** Keeps trying to lead, and to stay the leader, until the signal aborts; then gives the lease back. Never throws a FleetError. */
export async function keepLease(options: LeaseOptions, signal: AbortSignal): Promise<void> {
  const value = Buffer.from(options.id);
  let revision: number | null = null;
  let held_until = 0;
  const lead = (now: boolean) => {
    if (now !== held_until > 0) options.changed(now);
    if (!now) held_until = 0;
  };
  while (!signal.aborted) {
    const began = performance.now();
    try {
      revision =
        revision === null
          ? await options.kv.create(KEY, value, { ttl_s: LIFE_S })
          : await options.kv.update(KEY, value, revision, { ttl_s: LIFE_S });
      options.answered();
      lead(true);
      held_until = began + LIFE_S * 1_000;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      const taken = error.code === "CONFLICT";
      if (taken) options.answered();
      else options.failed(error);
      // Without an answer the lease counts until its end by our own clock, and not a moment longer.
      if (taken || performance.now() > held_until) {
        revision = null;
        lead(false);
      }
    }
    await pause(revision === null ? TRY_MS * (0.8 + 0.4 * Math.random()) : RENEW_MS, signal);
  }
  if (revision === null) return;
  lead(false);
  await options.kv.delete(KEY, { revision, ttl_s: 1 }).catch((error: unknown) => {
    if (error instanceof FleetError) options.failed(error);
    else throw error;
  });
}
