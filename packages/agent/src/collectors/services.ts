/**
 * Declared services and timers: one `systemctl show` for all of them a minute (10 to 20 ms), and when systemd says that one began or ended. A host that
 * declares none starts no process.
 */
import type { Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { gravest } from "@muster/protocol/telemetry/fault";
import { SERVICES_LIMIT, type ServiceRow, type ServicesSample } from "@muster/protocol/telemetry/services";
import type { Ports } from "../ports/index.ts";
import { type UnitUsage, unitName } from "../ports/systemd.ts";
import { serviceEvents, serviceFault } from "./service-judge.ts";
import type { Steady } from "./steady.ts";

const LOOK_MS = 60_000;
const FIRST_MS = 30_000;
/** What is declared is looked at this often, to follow its units. */
const FOLLOW_PERIOD_MS = 10_000;

type Wanted = Pick<ServiceRow, "unit" | "ref" | "wanted">;

export function createServices(
  { systemd, now }: Pick<Ports, "systemd" | "now">,
  declared: () => readonly Resource[],
): Steady<"services"> {
  const wanted = (): Wanted[] =>
    declared()
      .flatMap((resource): Wanted[] => {
        const ref = `${resource.kind}/${resource.name}`;
        if (resource.kind === "service")
          return [{ unit: unitName(resource.name), ref, wanted: resource.spec.state }];
        if (resource.kind === "timer") return [{ unit: `${resource.name}.timer`, ref, wanted: "running" }];
        return [];
      })
      .slice(0, SERVICES_LIMIT);

  return {
    kind: "services",
    look_ms: LOOK_MS,
    first_ms: FIRST_MS,
    async look(signal) {
      const units = wanted();
      const base = { at: now(), present: units.length > 0 };
      if (units.length === 0)
        return { ...base, systemd: { reachable: true, error: null }, services: [], faults: [] };
      if (!(await systemd.available())) return unknown(base, "systemd does not run here", units);
      try {
        const found = await systemd.usage(
          units.map(({ unit }) => unit),
          signal,
        );
        const services = units.map((each) => rowOf(each, found.get(each.unit) ?? null));
        const faults = gravest(services.flatMap((row) => serviceFault(row) ?? []));
        return { ...base, systemd: { reachable: true, error: null }, services, faults };
      } catch (error) {
        if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
        return unknown(base, error.message, units);
      }
    },
    shape: ({ systemd: told, services }) => [
      told,
      services.map(({ unit, wanted: as, active, sub, since, restarts }) => [
        unit,
        as,
        active,
        sub,
        since,
        restarts,
      ]),
    ],
    events: serviceEvents,
    follow(ring, signal) {
      let followed = "";
      let life = new AbortController();
      const turn = () => {
        const units = wanted().map(({ unit }) => unit);
        const key = units.join(" ");
        if (key === followed) return;
        followed = key;
        life.abort();
        life = new AbortController();
        // What was declared is to be seen now, not in a minute.
        ring();
        if (units.length > 0)
          systemd.follow(
            units,
            { changed: ring, failed: () => undefined },
            AbortSignal.any([signal, life.signal]),
          );
      };
      turn();
      const timer = setInterval(turn, FOLLOW_PERIOD_MS);
      signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    },
  };
}

function rowOf(wanted: Wanted, found: UnitUsage | null): ServiceRow {
  if (found === null || !found.loaded)
    return { ...wanted, ...UNKNOWN, active: "missing", verdict: "missing" };
  const { active, sub, since_ms, restarts, memory_bytes, result } = found;
  const runs = active === "active" || active === "activating" || active === "reloading";
  const verdict =
    active === "failed"
      ? "failed"
      : wanted.wanted === "running"
        ? runs
          ? "ok"
          : "down"
        : runs
          ? "up"
          : "ok";
  return { ...wanted, active, sub, since: since_ms, restarts, memory_bytes, result, verdict };
}

const UNKNOWN = { sub: null, since: null, restarts: null, memory_bytes: null, result: null } as const;

function unknown(
  base: Pick<ServicesSample, "at" | "present">,
  error: string,
  units: readonly Wanted[],
): ServicesSample {
  const services = units.map(
    (each): ServiceRow => ({ ...each, ...UNKNOWN, active: "unknown", verdict: "unknown" }),
  );
  const what = `systemd tells nothing of ${units.length} declared services: ${error}`.slice(0, 500);
  const faults = [{ colour: "red" as const, what, about: null, ref: null, since: null }];
  return { ...base, systemd: { reachable: false, error }, services, faults };
}
