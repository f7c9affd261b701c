/** Times, numbers and lists as people read and type them. Pure. */
import { FleetError } from "@muster/protocol/errors";
import { readDuration } from "@muster/view/words";

export * from "@muster/view/words";

/** The value of an option that is a duration, in milliseconds; undefined when it was not given. Errors: USAGE. */
export function durationOf(flag: string, typed: string | undefined): number | undefined {
  if (typed === undefined) return undefined;
  const duration_ms = readDuration(typed);
  if (duration_ms === undefined) throw new FleetError("USAGE", `${flag} ${typed}: must be like 2h`);
  return duration_ms;
}
