/**
 * One guarded change: snapshot and record on disk and the undo armed, then the steps, then watched once a second until all that worked
 * before has worked for a while; confirmed, or taken back. A failed step takes it back at once.
 */

import { randomId } from "@muster/ports/dispatch";
import type { Kind, Resource, Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { z } from "zod";
import type { Ports } from "./ports/index.ts";
import { lost, type ProbeOptions, type ProbeResults, probe } from "./probes.ts";
import { kindOf } from "./resources/index.ts";
import type { Guarded } from "./resources/kind.ts";
import type { Records, UndoRecord } from "./unconfirmed.ts";
import { takeBack, undoConfirming, undoRecord } from "./undo.ts";
import { pause } from "./wait.ts";

/** The timer's margin over our own window: it is the net below us, not a second judge. */
const TIMER_MARGIN_MS = 5_000;
const CHECK_PERIOD_MS = 1_000;
/** Where nothing but the probes is watched, as before the first session: they show at once what a change cuts. */
const UNWATCHED_SETTLE_MS = 2_000;
/** How long after an undo we look whether all works again, so that the person hears it in the same breath. */
const BACK_LIMIT_MS = 15_000;
const BACK_PERIOD_MS = 250;

/** What a guarded change needs beside the ports. */
export type GuardedDoor = {
  readonly records: Records;
  readonly probes: ProbeOptions;
  readonly settle_ms: number;
  /** Where the kind may keep files of a record: the same directory as the host sees it. */
  seen(path: string): string;
  /** Arms the undo of a record, and disarms it. */
  arm(id: string, after_ms: number, signal: AbortSignal): Promise<void>;
  disarm(id: string, signal: AbortSignal): Promise<void>;
  /** Hears how it stands: watching until then, or over (null). */
  unconfirmed(ref: string, undo_at: number | null, failures: readonly string[]): void;
};

export type GuardedChange = {
  readonly ref: string;
  readonly resource: Resource;
  /** Names what is tried, with the switch that is thrown; null for a removal. */
  readonly spec_hash: string | null;
  readonly steps: readonly Step[];
  readonly generation: number;
  /** What the guard watches beside the probes. */
  readonly watches: readonly string[];
};

export type GuardedOutcome =
  | { readonly result: "confirmed"; readonly ref: string; readonly took_ms: number }
  | {
      readonly result: "undone";
      readonly ref: string;
      readonly why: string;
      readonly took_ms: number;
      /** Set when taking it back went wrong too. */
      readonly error: string | null;
    };

type AnyGuard = Guarded<Kind, unknown>;

export async function applyGuarded(
  change: GuardedChange,
  asked_ms: number,
  door: GuardedDoor,
  ports: Ports,
  signal: AbortSignal,
): Promise<GuardedOutcome> {
  const { ref, resource } = change;
  const kind = kindOf(resource);
  const guard: AnyGuard | undefined = kind.guard;
  if (guard === undefined) throw new FleetError("UNSUPPORTED", `${ref} has no guard`);
  const id = randomId();
  // A shorter one would end before it can be known whether the change is good.
  const window_ms = Math.max(asked_ms, door.settle_ms);
  const context = {
    resource: change.spec_hash === null ? null : resource,
    generation: change.generation,
    window_ms,
  };
  const observed = await kind.observe(resource, ports, signal);
  const before = await probe(door.probes, null, false, signal);
  const directory = await door.records.begin(id);
  const snapshot = await guard.snapshot(resource, observed, door.seen(directory), ports, signal, context);
  const began_ms = ports.now();
  const undo_at = began_ms + window_ms;
  await door.records.put({
    v: 1,
    id,
    ref,
    generation: change.generation,
    spec_hash: change.spec_hash,
    snapshot: snapshot as z.infer<typeof UndoRecord>["snapshot"],
    armed_at: began_ms,
    undo_at,
  });
  try {
    await door.arm(id, window_ms + TIMER_MARGIN_MS, signal);
  } catch (error) {
    // Nothing was changed yet: without an armed undo nothing will be.
    await door.records.remove(id);
    throw error;
  }

  const undo = async (why: string, take = undoRecord): Promise<GuardedOutcome> => {
    // The signal of a stopping agent must not stop the undo.
    const unhurried = AbortSignal.timeout(120_000);
    const known = await takeBack(door, () => take(door.records, id, why, ports, unhurried), id, signal);
    const took_ms = ports.now() - began_ms;
    const error =
      known === null
        ? "another hand has it and is not done; the next start of the agent ends it"
        : known.error;
    const back = error === null ? await untilBack(guard, snapshot, ports, signal) : null;
    door.unconfirmed(ref, null, []);
    const words = undoneWords(guard.thing, known?.why ?? why, error, back);
    return { result: "undone", ref, why: words, took_ms, error };
  };

  try {
    for (const step of change.steps) await kind.apply(step, ports, signal, context);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    const outcome = await undo(error.message);
    return outcome;
  }
  door.unconfirmed(ref, undo_at, []);
  const unwatched_ms = change.watches.length === 0 ? UNWATCHED_SETTLE_MS : window_ms;
  // In the shortest window it must be good from the second look on.
  const settle_ms = Math.min(door.settle_ms, unwatched_ms, window_ms - CHECK_PERIOD_MS);
  let good_since: number | null = null;
  let failures: readonly string[] = ["it was never seen good"];
  let last_bad: readonly string[] = [];
  for (;;) {
    if (signal.aborted) return undo("the agent was stopped in the middle");
    if ((await door.records.phase(id)) !== "record") return undo("taken back by another hand");
    failures = await failuresNow(guard, snapshot, before, door, ports, signal);
    const now_ms = ports.now();
    if (failures.length > 0) {
      good_since = null;
      last_bad = failures;
    } else good_since ??= now_ms;
    door.unconfirmed(ref, undo_at, failures);
    if (good_since !== null && now_ms - good_since >= settle_ms) {
      const whole = lost(before, await probe(door.probes, before, false, signal));
      if (whole.length === 0) break;
      failures = last_bad = whole;
      good_since = null;
    }
    if (now_ms >= undo_at) {
      const seconds = Math.round((now_ms - (good_since ?? now_ms)) / 1_000);
      const earlier =
        last_bad.length > 0 ? `before that: ${last_bad.join("; ")}` : "the change itself took the rest";
      return undo(failures.join("; ") || `good for the last ${seconds} s only, ${earlier}`);
    }
    await pause(CHECK_PERIOD_MS, signal);
  }
  if (!(await door.records.claim(id, "confirming"))) return undo("taken back by another hand");
  try {
    await guard.confirm(snapshot, ports, signal);
  } catch (error) {
    // A stopping agent leaves it to the next one; anything else is judged good and cannot be kept.
    if (!(error instanceof FleetError) || signal.aborted) throw error;
    return undo(`it cannot be confirmed: ${error.detail}`, undoConfirming);
  }
  await door.disarm(id, signal);
  await door.records.remove(id);
  door.unconfirmed(ref, null, []);
  return { result: "confirmed", ref, took_ms: ports.now() - began_ms };
}

/** `upstream imported 10, now 0 (guard: within 10 %); back after 2 s. bird.conf is as before.` */
export function undoneWords(
  thing: string,
  why: string,
  error: string | null,
  back: { readonly after_ms: number | null } | null,
): string {
  if (error !== null) return `${why}; TAKING IT BACK FAILED: ${error}`;
  if (back === null) return `${why}; ${thing} is as before.`;
  if (back.after_ms === null)
    return `${why}; NOT BACK after ${BACK_LIMIT_MS / 1_000} s, though ${thing} is as before.`;
  return `${why}; back after ${Math.max(1, Math.round(back.after_ms / 1_000))} s. ${thing} is as before.`;
}

/** Null when the agent is stopped meanwhile. */
async function untilBack(
  guard: AnyGuard,
  snapshot: unknown,
  ports: Ports,
  signal: AbortSignal,
): Promise<{ after_ms: number | null } | null> {
  const began_ms = ports.now();
  while (!signal.aborted) {
    const after_ms = ports.now() - began_ms;
    try {
      if (await guard.back(snapshot, ports, signal)) return { after_ms };
    } catch (error) {
      // A daemon that does not answer is not back.
      if (!(error instanceof FleetError)) throw error;
    }
    if (after_ms >= BACK_LIMIT_MS) return { after_ms: null };
    await pause(BACK_PERIOD_MS, signal);
  }
  return null;
}

async function failuresNow(
  guard: AnyGuard,
  snapshot: unknown,
  before: ProbeResults,
  door: GuardedDoor,
  ports: Ports,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const now = await probe(door.probes, before, true, signal);
  try {
    const verdict = await guard.check(snapshot, ports, signal);
    const failures = [...verdict.failures, ...lost({ ...before, bus: false }, now)];
    return verdict.good || failures.length > 0 ? failures : ["the guard is not satisfied"];
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return [error.message];
  }
}
