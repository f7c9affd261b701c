/**
 * Keys that account FLEET takes no more, as its JWT holds them. A key is void for what was issued up to the end of its own credential, which may lie
 * ahead: so what a controller issued to it in the meantime is void too, and the entry says itself when nobody needs it any more. Pure.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Revocations } from "@muster/protocol/jwt";

/** An account has to fit into one message of 1 MiB, and 10,000 entries are 913 KiB. */
export const REVOCATIONS = 5_000;

/** Without what has ended by itself. */
export function pruned(revocations: Revocations, now_ms: number): Revocations {
  return Object.fromEntries(Object.entries(revocations).filter(([, until_s]) => until_s * 1_000 > now_ms));
}

/**
 * Voids more keys; null when all of them are void for as long already.
 * @param more public user nkey → when its credential ends, milliseconds since 1970
 * Errors: TOO_LARGE.
 */
export function revoking(
  held: Revocations,
  more: ReadonlyMap<string, number>,
  now_ms: number,
): Revocations | null {
  const next: Record<string, number> = { ...pruned(held, now_ms) };
  let changed = false;
  for (const [key, until_ms] of more) {
    const until_s = Math.ceil(Math.max(until_ms, now_ms) / 1_000);
    if ((next[key] ?? 0) >= until_s) continue;
    next[key] = until_s;
    changed = true;
  }
  if (!changed) return null;
  if (Object.keys(next).length > REVOCATIONS) {
    throw new FleetError(
      "TOO_LARGE",
      `${REVOCATIONS} keys are void already, more the broker does not bear; they lapse as their credentials end`,
    );
  }
  return next;
}
