/** What a declared unit's row means, and what happened between two samples. Pure. */
import type { FleetEvent } from "@muster/protocol";
import type { Fault } from "@muster/protocol/telemetry/fault";
import type { ServiceRow, ServicesSample } from "@muster/protocol/telemetry/services";

/** What is wrong with one unit; null when nothing is. */
export function serviceFault({ unit, ref, since, verdict, active, result }: ServiceRow): Fault | null {
  const base = { colour: "red" as const, about: unit, ref, since };
  const why = result === null ? "" : ` (${result})`;
  switch (verdict) {
    case "missing":
      return { ...base, what: `unit ${unit} is declared and systemd knows no such unit` };
    case "failed":
      return { ...base, what: `unit ${unit} failed${why}` };
    case "down":
      return { ...base, what: `unit ${unit} is ${active}, and should run` };
    case "up":
      return { ...base, what: `unit ${unit} runs, and should not` };
    default:
      return null;
  }
}

/** What the reconciler, which tells of what is not as declared, cannot see: that systemd started one anew by itself. */
export function serviceEvents(before: ServicesSample, now: ServicesSample): Omit<FleetEvent, "at">[] {
  const earlier = new Map(before.services.map((row) => [row.unit, row]));
  return now.services.flatMap((row) => {
    const was = earlier.get(row.unit);
    const times = (row.restarts ?? 0) - (was?.restarts ?? row.restarts ?? 0);
    if (times <= 0) return [];
    const what = `unit ${row.unit} ended and was restarted by systemd${times > 1 ? ` ${times} times` : ""}`;
    return [{ kind: "host" as const, severity: "warning" as const, what, ref: row.ref }];
  });
}
