/** What the collectors found wrong, as lines: what, since when, and the next command. Pure. */
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import type { Fault } from "@muster/protocol/telemetry/fault";
import { isBlind } from "@muster/protocol/telemetry/index";
import type { Known } from "./known.ts";
import type { Trouble } from "./trouble.ts";
import { durationText } from "./words.ts";

/** `there_ms`: now by the host's own clock. */
export function faultTroubles(
  known: Known,
  convergence: Convergence,
  now_ms: number,
  there_ms: number,
): Trouble[] {
  return known.faults.flatMap((each): Trouble[] => {
    const next = `ctl health ${known.name}`;
    if (isBlind(each, now_ms))
      return [
        {
          tint: "red",
          about: each.kind,
          what: `its last word on ${each.kind} is ${durationText(now_ms - each.heard_at)} old`,
          next,
        },
      ];
    return each.faults.flatMap((fault): Trouble[] => {
      if (isToldBy(convergence, fault)) return [];
      const since = fault.since === null ? "" : `, for ${durationText(there_ms - fault.since)}`;
      return [
        {
          tint: tintOf(fault, convergence),
          about: fault.about === null ? each.kind : `${each.kind}/${fault.about}`,
          what: `${fault.what}${since}`,
          next: nextFor(known.name, each.kind, fault),
        },
      ];
    });
  });
}

/** The resource itself says it better; and while a change is made, what is declared may be away for a moment. */
function isToldBy({ state, troubles, drift }: Convergence, { ref }: Fault): boolean {
  if (ref === null) return false;
  return (
    (state === "applying" && !ref.startsWith("certificate/")) ||
    troubles.some((trouble) => trouble.ref === ref) ||
    drift.some((each) => each.ref === ref && each.action !== "corrected")
  );
}

/** What somebody holds he knows of. */
function tintOf({ colour, ref }: Fault, { held }: Convergence): Trouble["tint"] {
  const known = ref !== null && held.some((hold) => hold.ref === null || hold.ref === ref);
  return known ? "amber" : colour;
}

function nextFor(host: string, kind: string, { about }: Fault): string {
  if (kind === "services" && about !== null) return `ctl logs ${host} ${about}`;
  if (kind === "containers" && about !== null) return `ctl logs ${host} container/${about}`;
  if (kind === "wireguard" && about !== null) return `on the host: wg show ${about.split(" ")[0]}`;
  return `ctl health ${host}`;
}
