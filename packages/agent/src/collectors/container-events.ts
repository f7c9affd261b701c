/** From two samples to what happened to containers, in sentences, beside what the reconciler tells of declared ones. Pure. */
import type { FleetEvent } from "@muster/protocol";
import type { ContainerRow, ContainersSample } from "@muster/protocol/telemetry/containers";

type Told = Omit<FleetEvent, "at">;

export function containerEvents(before: ContainersSample, now: ContainersSample): Told[] {
  // What happened while the engine could not be asked is not known.
  if (!before.engine.reachable || !now.engine.reachable || !before.present) return [];
  const earlier = new Map(before.containers.map((row) => [row.name, row]));
  return now.containers.flatMap((row) => {
    const was = earlier.get(row.name);
    const what = was === undefined ? null : changed(was, row);
    return what === null
      ? []
      : [{ kind: "host" as const, ...(row.declared ? { ref: `container/${row.name}` } : {}), ...what }];
  });
}

function changed(was: ContainerRow, now: ContainerRow): Pick<Told, "severity" | "what"> | null {
  const { name } = now;
  if (was.restarts !== null && now.restarts !== null && now.restarts > was.restarts) {
    const times = now.restarts - was.restarts;
    const why = was.oom_killed !== true && now.oom_killed === true ? ", out of memory" : "";
    return {
      severity: "warning",
      what: `container ${name} ended and was restarted by Docker${times > 1 ? ` ${times} times` : ""}${why}`,
    };
  }
  // Of declared ones the reconciler tells what it did.
  if (now.declared) return null;
  if (was.state !== "running" && now.state === "running")
    return { severity: "info", what: `container ${name} runs` };
  if (was.state === "running" && now.state !== "running" && now.state !== "restarting") {
    const code = now.exit_code === null ? "" : ` with ${now.exit_code}`;
    return {
      severity: now.exit_code === 0 || now.exit_code === null ? "info" : "warning",
      what: `container ${name} ended${code}${now.oom_killed === true ? ", out of memory" : ""}`,
    };
  }
  return null;
}
