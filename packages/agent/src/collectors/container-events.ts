/** From two samples to what happened to containers, in sentences, beside what the reconciler tells of declared ones. Pure. */
import type { FleetEvent } from "@muster/protocol";
import type { ContainerRow, ContainersSample } from "@muster/protocol/telemetry/containers";

type Told = Omit<FleetEvent, "at">;

export function containerEvents(before: ContainersSample, now: ContainersSample): Told[] {
  // What happened while the engine could not be asked is not known.
  if (!before.engine.reachable || !now.engine.reachable || !before.present) return [];
  const earlier = new Map(before.containers.map((row) => [row.name, row]));
  return now.containers.flatMap((row) => {
    const was = earlier.get(row.name) ?? beforeItself(row, before.at);
    const what = was === null ? null : changed(was, row);
    return what === null
      ? []
      : [{ kind: "host" as const, ...(row.declared ? { ref: `container/${row.name}` } : {}), ...what }];
  });
}

/** Of one that came since the look before only what it ended with is told, by an end after that look. */
const beforeItself = (row: ContainerRow, looked_at: number): ContainerRow | null =>
  row.ended_at === null || row.ended_at < looked_at
    ? null
    : { ...row, state: "running", restarts: 0, ended_at: null, oom_at: null, verdict: "ok" };

function changed(was: ContainerRow, now: ContainerRow): Pick<Told, "severity" | "what"> | null {
  const { name } = now;
  const again = now.ended_at !== null && now.ended_at !== was.ended_at;
  const code = now.exit_code ?? (again ? now.ended_with : null);
  const how = `${code === null ? "" : ` with ${code}`}${now.oom_killed === true ? ", out of memory" : ""}`;
  if (was.restarts !== null && now.restarts !== null && now.restarts > was.restarts) {
    // That it falls again and again stands as a fault, until it is over.
    if (was.verdict === "restarting") return null;
    const times = now.restarts - was.restarts;
    const what = times > 1 ? `ended ${times} times, at last` : "ended";
    return { severity: "warning", what: `container ${name} ${what}${how}, and Docker restarts it` };
  }
  if (now.oom_at !== null && now.oom_at !== was.oom_at && !again)
    return {
      severity: "warning",
      what: `the kernel killed a process in container ${name} for want of memory`,
    };
  // Of declared ones the reconciler tells what it did.
  if (now.declared) return null;
  if (was.state !== "running" && now.state === "running")
    return { severity: "info", what: `container ${name} runs` };
  const ended = was.state === "running" && now.state !== "running" && now.state !== "restarting";
  if (!ended && !(again && now.state === "running")) return null;
  return {
    severity: code === 0 || code === null ? "info" : "warning",
    what: `container ${name} ended${how}${ended ? "" : ", and runs again"}`,
  };
}
