/** From answers to a state: so many in a row turn it, so that one lost packet is no alarm. Pure. */

import type { FleetEvent } from "@muster/protocol";
import type { Check } from "@muster/protocol/resources/check";
import type { CheckState, ProbeReason } from "@muster/protocol/telemetry/checks";
import type { Answer } from "./way.ts";

/** How often it is asked while a turn is in question. */
const QUICK_MS = 5_000;
/** How often at least while it is not up: that it is again is not to be waited for. Not of one that starts a process: how often it may is its owner's to say. */
const DOWN_MS = 15_000;

export type Judged = {
  readonly state: CheckState;
  readonly since: number;
  readonly up_at: number | null;
  readonly ran_at: number | null;
  readonly latency_ms: number | null;
  readonly why: string;
  /** Answers in a row that speak for another state. */
  readonly turning: { readonly to: CheckState; readonly count: number } | null;
  readonly reasons?: readonly ProbeReason[];
};

export const unasked = (now_ms: number): Judged => ({
  ...{ state: "blind", since: now_ms, up_at: null, ran_at: null, latency_ms: null },
  ...{ why: "not asked yet", turning: null },
});

export function judge(
  before: Judged,
  answer: Answer,
  check: Pick<Check, "rise" | "fall">,
  now_ms: number,
): Judged {
  const told: CheckState = answer.ok === null ? "blind" : answer.ok ? "up" : "down";
  const seen = {
    up_at: told === "up" ? now_ms : before.up_at,
    ran_at: now_ms,
    latency_ms: answer.ok === true ? answer.latency_ms : before.latency_ms,
    ...(answer.reasons === undefined ? {} : { reasons: answer.reasons }),
  };
  const words = answer.ok === true ? "" : answer.why;
  if (told === before.state) return { ...before, ...seen, why: words, turning: null };
  const count = before.turning?.to === told ? before.turning.count + 1 : 1;
  // Of one that nothing is known of the first answer decides.
  const needed = before.state === "blind" ? 1 : told === "up" ? check.rise : check.fall;
  if (count >= needed) return { ...seen, state: told, since: now_ms, why: words, turning: null };
  const why = told === "up" ? before.why : `${words} (${count} of ${needed})`;
  return { ...before, ...seen, why, turning: { to: told, count } };
}

/** Until it is asked again, of one that is asked so often while it is up; whether a process is started for it. */
export function restOf({ turning, state }: Judged, every_ms: number, is_program: boolean): number {
  if (turning !== null) return Math.min(QUICK_MS, every_ms);
  return state === "up" || is_program ? every_ms : Math.min(DOWN_MS, every_ms);
}

/** What a turn is in a sentence; null where nothing turned, or one that is new is well. */
export function turnOf(name: string, before: Judged, now: Judged): Omit<FleetEvent, "at"> | null {
  if (before.state === now.state) return null;
  const about = { kind: "check", ref: `check/${name}` } as const;
  if (now.state === "up")
    return before.up_at === null ? null : { ...about, severity: "info", what: `check ${name} is up again` };
  if (now.state === "blind")
    return { ...about, severity: "error", what: `check ${name} cannot be told any more: ${now.why}` };
  const never = before.up_at === null ? " and was never up" : "";
  return { ...about, severity: "error", what: `check ${name} is down${never}: ${now.why}` };
}
