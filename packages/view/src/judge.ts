/**
 * Hosts judged again only where something was told of them, or so much time has passed that it shows: from one frame to the next most of a large fleet stands
 * still, and a judgement that is the same object need not be drawn again. Pure but for what it remembers.
 */
import type { Known } from "./known.ts";
import { type HostStatus, statusOf, type Tint, worstTint } from "./status.ts";

/** A host as it was judged, and the worst that there is to say of it. */
export type Judged = HostStatus & { readonly worst: Tint };

/** What is wrong has an age, which people watch. */
const TROUBLED_MS = 1_000;
/** Until then nothing of one that is well becomes red by time alone. */
const CALM_MS = 3_000;

export class Judge {
  readonly #held = new WeakMap<Known, { readonly judged: Judged; readonly at_ms: number }>();

  of(known: Known, now_ms: number): Judged {
    const held = this.#held.get(known);
    if (held !== undefined) {
      const age_ms = now_ms - held.at_ms;
      if (age_ms >= 0 && age_ms < (held.judged.troubles.length > 0 ? TROUBLED_MS : CALM_MS))
        return held.judged;
    }
    const status = statusOf(known, now_ms);
    const judged = { ...status, worst: worstTint(status) };
    this.#held.set(known, { judged, at_ms: now_ms });
    return judged;
  }
}
