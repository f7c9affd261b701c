/** What a dispatcher remembers for a while: nonces that were used, and challenges that were given. Both bounded. */
import { randomBytes } from "node:crypto";
import type { NonceStore } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";

const NONCES = 50_000;
const CHALLENGES = 1_000;
const CHALLENGE_LIFE_MS = 30_000;

/** Nonces in memory. When full of living ones, `remember` throws TOO_LARGE: forgetting one would let a replay through. */
export function memoryNonces(now: () => number): NonceStore {
  const seen = new Map<string, number>();
  return {
    remember(nonce, until_ms) {
      if (seen.has(nonce)) return false;
      if (seen.size >= NONCES) {
        const now_ms = now();
        for (const [old, ends_ms] of seen) if (ends_ms < now_ms) seen.delete(old);
        if (seen.size >= NONCES) throw new FleetError("TOO_LARGE", `${NONCES} commands in two minutes`);
      }
      seen.set(nonce, until_ms);
      return true;
    },
  };
}

/** Challenges for callers whose clock is off: each works once, for half a minute; of too many the oldest goes. */
export function challenges(now: () => number): { give(): string; take(nonce: string): boolean } {
  const given = new Map<string, number>();
  return {
    give() {
      const nonce = randomBytes(16).toString("hex");
      const [oldest] = given.keys();
      if (given.size >= CHALLENGES && oldest !== undefined) given.delete(oldest);
      given.set(nonce, now() + CHALLENGE_LIFE_MS);
      return nonce;
    },
    take(nonce) {
      const ends_ms = given.get(nonce);
      given.delete(nonce);
      return ends_ms !== undefined && ends_ms >= now();
    },
  };
}
