/**
 * What is wrong in the fleet at one instant, by the same judgement as `ctl status`: no alert can say what the person does not see there, and nothing that is red
 * there can be without one. Pure.
 */
import { FLEET_WIDE, type NotKnown } from "@muster/protocol/alert";
import type { MissingHost } from "@muster/protocol/declared";
import { drainText } from "@muster/protocol/drained";
import type { HostView } from "@muster/protocol/record";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import { drainsOf } from "@muster/view/drained";
import { type FleetStanding, fleetTroubles } from "@muster/view/fleet";
import { knownOf, knownOfMissing, seenWith } from "@muster/view/known";
import { statusOf } from "@muster/view/status";
import type { Trouble } from "@muster/view/trouble";

/** A trouble and whose it is; `_` = the fleet's. */
export type Finding = Trouble & { readonly host: string };

export type Look = {
  readonly findings: readonly Finding[];
  /** Hosts of which nothing is known of now: what was said of them before is neither so nor over. */
  readonly silent: ReadonlySet<string>;
  /** Of which host and rule nothing can be said now (`unsureOf`). */
  readonly unsure: ReadonlySet<string>;
  readonly not_known: readonly NotKnown[];
  /** By host, why it is quiet by its own account: it is drained, or changes. */
  readonly quiet: ReadonlyMap<string, string>;
};

/** A change that a host works on for longer than this is no reason for silence any more. */
const CHANGE_MS = 15 * 60_000;

const BEGIN_MS = 60_000;

export function lookAt(
  views: readonly HostView[],
  fleet: FleetStanding,
  now_ms: number,
  missing: readonly MissingHost[] = [],
): Look {
  // A machine that joined a moment ago has not begun to speak.
  const begun = views.filter(
    ({ heard_at, record }) => heard_at !== null || now_ms - record.enrolled_at > BEGIN_MS,
  );
  const known = begun.map((view) => knownOf(view, null, null));
  const drains = drainsOf(known, now_ms);
  const findings: Finding[] = fleetTroubles(fleet, now_ms).map(({ name: _name, ...trouble }) => ({
    host: FLEET_WIDE,
    ...trouble,
  }));
  const silent = new Set<string>();
  const quiet = new Map<string, string>();
  for (const each of [...known, ...missing.map(knownOfMissing)]) {
    const { state, troubles } = statusOf(seenWith(each, drains), now_ms);
    if (state === "silent") silent.add(each.name);
    const why = each.convergence === null ? null : quietBy(each.convergence, now_ms + each.clock_skew_ms);
    if (why !== null) quiet.set(each.name, why);
    const told = new Set<string>();
    for (const trouble of [...troubles].sort(redFirst)) {
      if (told.has(trouble.about)) continue;
      told.add(trouble.about);
      findings.push({ host: each.name, ...trouble });
    }
  }
  return { findings, silent, quiet, unsure: new Set(), not_known: [] };
}

const redFirst = (one: Trouble, other: Trouble) => Number(one.tint !== "red") - Number(other.tint !== "red");

/** By the host's own account and clock: a drain until it should be over, a change until its guard decides. */
function quietBy({ drained, state, since, undo_at }: Convergence, there_ms: number): string | null {
  if (drained != null && (drained.until === null || drained.until > there_ms))
    return drainText(drained, there_ms);
  const over_at = undo_at ?? since + CHANGE_MS;
  if ((state === "applying" || state === "unconfirmed") && there_ms < over_at)
    return "a change goes on there";
  return null;
}

/** What no drain and no change of ours explains: it is told all the same. */
export const isTold = (about: string) => about === "drain" || about === "quarantine";
