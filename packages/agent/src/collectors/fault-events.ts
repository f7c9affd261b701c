/** Faults that came and went between two samples, in sentences. Pure. */
import type { FleetEvent } from "@muster/protocol";
import type { Fault } from "@muster/protocol/telemetry/fault";

export type Faulted = { readonly faults: readonly Fault[] };

/**
 * A fault is the same while its words are. Of declared resources the reconciler tells what is wrong: one change is one event.
 */
export function faultEvents(before: Faulted, now: Faulted): Omit<FleetEvent, "at">[] {
  const of = ({ faults }: Faulted) =>
    faults.filter(({ ref }) => ref === null || ref.startsWith("certificate/"));
  const [were, are] = [of(before), of(now)];
  const among = (faults: readonly Fault[], { what }: Fault) => faults.some((each) => each.what === what);
  const told = ({ what, colour, ref }: Fault, over: boolean): Omit<FleetEvent, "at"> => ({
    kind: "host",
    severity: over ? "info" : colour === "red" ? "error" : "warning",
    what: over ? `over: ${what}` : what,
    ...(ref === null ? {} : { ref }),
  });
  return [
    ...are.filter((each) => !among(were, each)).map((each) => told(each, false)),
    ...were.filter((each) => !among(are, each)).map((each) => told(each, true)),
  ];
}
