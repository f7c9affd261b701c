/** What a declared package's row means, and what happened between two samples. Pure. */
import type { FleetEvent } from "@muster/protocol";
import type { Fault } from "@muster/protocol/telemetry/fault";
import type { DeclaredPackage, PackagesSample } from "@muster/protocol/telemetry/packages";

const NAMED = 10;

/** What is wrong with a declared package; null when nothing is. */
export function packageFault({ name, ref, wanted, version, broken, ok }: DeclaredPackage): Fault | null {
  if (ok) return null;
  const is = broken !== null ? broken : version === null ? "not installed" : `installed as ${version}`;
  return {
    colour: "red",
    what: `package ${name} is ${is}, and should be ${wanted}`,
    about: name,
    ref,
    since: null,
  };
}

/** Security updates that were not known of before. */
export function packageEvents(before: PackagesSample, now: PackagesSample): Omit<FleetEvent, "at">[] {
  if (before.security === null || now.security === null) return [];
  const known = new Set(before.updates.map(({ name, offered }) => `${name} ${offered}`));
  const fresh = now.updates.filter(
    ({ name, offered, security }) => security && !known.has(`${name} ${offered}`),
  );
  if (fresh.length === 0) return [];
  const names = fresh.slice(0, NAMED).map(({ name, offered }) => `${name} ${offered}`);
  const more = fresh.length > NAMED ? ` and ${fresh.length - NAMED} more` : "";
  return [{ kind: "host", severity: "warning", what: `security updates wait: ${names.join(", ")}${more}` }];
}
