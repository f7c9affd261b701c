/** What every way of asking has in common: what it may use, what it answers, and a failure in its own words. */
import type { BgpSample } from "@muster/protocol";
import type { Check } from "@muster/protocol/resources/check";
import type { ProbeReason } from "@muster/protocol/telemetry/checks";
import type { Ports } from "../ports/index.ts";

export type CheckDoor = {
  readonly ports: Ports;
  /** The last sample of BGP; null while there is none. */
  bgp(): BgpSample | null;
  /** CAs of the fleet's own services, PEM; "" while none is known. */
  fleetCa(): string;
};

/** `ok` null: it cannot be told. */
export type Answer =
  | { readonly ok: true; readonly latency_ms: number | null; readonly reasons?: readonly ProbeReason[] }
  | { readonly ok: false | null; readonly why: string; readonly reasons?: readonly ProbeReason[] };

/** Asks once. Never throws but for a mistake in the program and, when the signal aborts, anything. */
export type Way = (signal: AbortSignal) => Promise<Answer>;
export type MakeWay = (check: Check, door: CheckDoor) => Way;

const WORDS_LIMIT = 400;

export const bad = (why: string): Answer => ({ ok: false, why: plain(why) });
export const blind = (why: string): Answer => ({ ok: null, why: plain(why) });
export const good = (began_ms: number): Answer => ({
  ok: true,
  latency_ms: Math.round((performance.now() - began_ms) * 10) / 10,
});

/** What others say, in one line that is fit to be shown. */
export function plain(text: string): string {
  const line = text.replace(/\p{Cc}+/gu, " ").trim();
  return line.length > WORDS_LIMIT ? `${line.slice(0, WORDS_LIMIT)}…` : line;
}

/** Of several addresses that were tried each says its own. */
export function wordsOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0)
    return [...new Set(error.errors.map(wordsOf))].join("; ");
  if (error instanceof Error && error.name === "AbortError") return "no answer in time";
  return error instanceof Error ? error.message || error.name : String(error);
}

/** `[::1]:53` → `::1` and 53. */
export function hostPort(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}
