/**
 * What receivers remember of commands: nonces that were used, and challenges that were given. In memory for one process, with a mark that outlives
 * it where the process has a disk; in a bucket for controllers, which have none and share their subject. All bounded.
 */
import { randomBytes } from "node:crypto";
import type { CommandMemory } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { KeyValue } from "./bus.ts";

const NONCES = 50_000;
const CHALLENGES = 1_000;
const CHALLENGE_LIFE_MS = 30_000;
/** The mark is put so far ahead, so that it is written once for many commands. */
const MARK_AHEAD_MS = 10_000;

/** Where the mark of a process is kept: nothing that was signed up to it is taken by the next one without a challenge. */
export type Mark = {
  /** As the process before left it; 0 when there was none. */
  readonly signed_until_ms: number;
  /** Resolves when it is on disk. */
  raise(signed_until_ms: number): Promise<void>;
};

/**
 * Nonces and challenges of one process. What it took was signed before it started, or up to the mark: the next process begins there.
 * When full of living nonces `remember` throws TOO_LARGE: forgetting one would let a replay through.
 */
export function processMemory(now: () => number, mark: Mark = FLEETING): CommandMemory {
  const seen = new Map<string, number>();
  const given = challenges(now);
  const signed_from_ms = Math.max(now(), mark.signed_until_ms + 1);
  let marked_ms = mark.signed_until_ms;
  let raising: Promise<void> = Promise.resolve();
  const raise = (signed_at_ms: number): Promise<void> => {
    raising = raising
      .catch(() => undefined)
      .then(async () => {
        if (signed_at_ms <= marked_ms) return;
        await mark.raise(signed_at_ms + MARK_AHEAD_MS);
        marked_ms = signed_at_ms + MARK_AHEAD_MS;
      });
    return raising;
  };
  return {
    signed_from_ms,
    async remember(nonce, { signed_at_ms, until_ms }) {
      if (seen.has(nonce)) return false;
      if (seen.size >= NONCES) {
        const now_ms = now();
        for (const [old, ends_ms] of seen) if (ends_ms < now_ms) seen.delete(old);
        if (seen.size >= NONCES) throw new FleetError("TOO_LARGE", `${NONCES} commands in two minutes`);
      }
      seen.set(nonce, until_ms);
      if (signed_at_ms > marked_ms) await raise(signed_at_ms);
      return true;
    },
    give: async () => given.give(),
    take: async (nonce) => given.take(nonce),
  };
}

const FLEETING: Mark = { signed_until_ms: 0, raise: async () => undefined };

/**
 * The memory that controllers share: a key for each command that acts and for each challenge, created once and gone by itself. A command that one of
 * them took is known to all, and to those that start later. What only reads is remembered by its own process.
 * Errors of `remember`, `give` and `take`: those of the bucket; the command is not carried out then.
 */
export function sharedMemory(kv: Pick<KeyValue, "create" | "get">, now: () => number): CommandMemory {
  const own = processMemory(now);
  return {
    signed_from_ms: 0,
    async remember(nonce, command) {
      if (!(await own.remember(nonce, command))) return false;
      if (!command.acts) return true;
      try {
        const ttl_s = Math.ceil((command.until_ms - now()) / 1_000);
        await kv.create(`used.${nonce}`, EMPTY, { ttl_s: Math.max(1, ttl_s) });
        return true;
      } catch (error) {
        if (error instanceof FleetError && error.code === "CONFLICT") return false;
        throw error;
      }
    },
    async give() {
      const nonce = randomBytes(16).toString("hex");
      await kv.create(`given.${nonce}`, EMPTY, { ttl_s: CHALLENGE_LIFE_MS / 1_000 });
      return nonce;
    },
    take: async (nonce) => (await kv.get(`given.${nonce}`)) !== null,
  };
}

const EMPTY = new Uint8Array();

/** Challenges for callers whose clock is off: each works once, for half a minute; of too many the oldest goes. */
function challenges(now: () => number): { give(): string; take(nonce: string): boolean } {
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
