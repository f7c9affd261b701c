/** Checks in the operator's words: how each stands, red first, and how a red one is told in one line. Pure. */
import { CHECKS_LIMIT } from "@muster/protocol/resources/check";
import {
  CHECK_BLIND_AFTER_MS,
  type CheckColour,
  type CheckRow,
  checkColour,
} from "@muster/protocol/telemetry/checks";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import type { Known } from "./known.ts";
import type { Trouble } from "./trouble.ts";
import { countText, durationText } from "./words.ts";

/** A sample that is older says nothing of now. */
const STALE_MS = 30_000;
const RANK: Readonly<Record<CheckColour, number>> = { red: 0, amber: 1, green: 2 };

export type HostCheck = { readonly host: string; readonly check: CheckRow };

/** `up`, `DOWN`, `BLIND`; one that has never been up says so. */
export function checkWord({ state, up_at }: CheckRow): string {
  if (state === "up") return "up";
  return state === "blind" ? "BLIND" : up_at === null ? "NEVER UP" : "DOWN";
}

/** Red first, then by host as given and by name. */
export function sortedChecks(rows: readonly HostCheck[], tint: (row: HostCheck) => CheckColour): HostCheck[] {
  return [...rows].sort((one, other) => RANK[tint(one)] - RANK[tint(other)]);
}

/** `check web DOWN 3 min: connect ECONNREFUSED ::1:80`. */
export function checkText(check: CheckRow, now_ms: number): string {
  const why = check.why === "" ? "" : `: ${check.why}`;
  return `check ${check.name} ${checkWord(check)} ${durationText(now_ms - check.since)}${why}`;
}

/** Of a host that is enrolled and heard, at `now_ms` by its own clock. What is declared and not told of is red too. */
export function checkTroubles(known: Known, convergence: Convergence, now_ms: number): Trouble[] {
  const declared = convergence.resources.managed.check ?? 0;
  if (declared === 0) return [];
  const next = `ctl checks ${known.name}`;
  const tint = convergence.drained == null ? "red" : "amber";
  const { checks } = known;
  const lacks =
    checks === null
      ? "nothing is known"
      : now_ms - checks.at > STALE_MS
        ? `nothing has been heard for ${durationText(now_ms - checks.at)}`
        : checks.checks.length < Math.min(declared, CHECKS_LIMIT)
          ? `${checks.checks.length === 0 ? "nothing" : `of ${checks.checks.length} alone`} is told`
          : null;
  // It has just been told to.
  const begun = Math.abs(now_ms - convergence.since) >= CHECK_BLIND_AFTER_MS;
  const what = `${lacks} of its ${countText(declared, "check")}`;
  const blind: Trouble[] =
    lacks === null || !begun ? [] : [{ tint: "red", about: "blind/checks", what, next }];
  if (checks === null || now_ms - checks.at > STALE_MS) return blind;
  return [
    ...blind,
    ...checks.checks
      .filter((check) => checkColour(check, now_ms) === "red")
      .map(
        (check): Trouble => ({ tint, about: `check/${check.name}`, what: checkText(check, now_ms), next }),
      ),
  ];
}
