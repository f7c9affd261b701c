/**
 * What a drain makes of BGP sessions: one that would be red is `drained`, since whoever drained the host takes its sessions down on purpose. The
 * host itself judges its own so, and whoever sees the whole fleet those of its neighbours with it. Pure.
 */
import { type BgpSession, bgpColour } from "./telemetry/bgp.ts";
import { timeText } from "./time.ts";

/** Who drained the host, why, and until when it was meant to be; null = without end. */
export type DrainReason = { readonly by: string; readonly why: string; readonly until: number | null };

/** `drained by alice until 2026-11-21 08:00 UTC: switch swap`; past its time it says since when it is overdue. */
export function drainText({ by, why, until }: DrainReason, now_ms: number): string {
  const end =
    until === null
      ? ""
      : until <= now_ms
        ? `, SHOULD BE BACK since ${timeText(until)}`
        : ` until ${timeText(until)}`;
  return `drained by ${by}${end}: ${why}`;
}

/** A red session as `drained`, with these words before its own; any other as it is. */
export const asDrained = (session: BgpSession, words: string): BgpSession =>
  bgpColour(session.verdict) === "red"
    ? { ...session, verdict: "drained", why: session.why === "" ? words : `${words} (${session.why})` }
    : session;
