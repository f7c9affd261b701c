/** The rows of a host's containers: what was declared, what the engine says now, how it ended before, what it uses. Pure. */
import {
  CONTAINERS_LIMIT,
  type ContainerRow,
  type ContainersSample,
} from "@muster/protocol/telemetry/containers";
import type { ContainerEnds } from "../ports/docker-ends.ts";
import type { ContainerFacts, ContainerUsage } from "../ports/docker-facts.ts";
import { type DeclaredContainer, judgeContainer, loops, type SeenContainer } from "./container-judge.ts";

export type Measured = { readonly at: number; readonly usage: ContainerUsage; readonly cpu: number | null };

/** The engine's time of an end and that of its event are this close. */
const SAME_END_MS = 1_000;

/** Of the engine's answer, null for one that is gone, and of what its events told. */
export function seenOf(
  facts: ContainerFacts | null,
  told: ContainerEnds | null,
  now_ms: number,
): Omit<SeenContainer, "listed"> {
  if (facts === null)
    return {
      ...{ since: null, health: null, exit_code: null, restarts: null, oom_killed: null },
      ...{ ended_at: null, ended_with: null, oom_at: null, loops: false },
    };
  const { health, restarts, started_ms, finished_ms } = facts;
  const runs = facts.status === "running";
  const since = runs ? started_ms : finished_ms;
  const end = told?.at != null && told.at >= (finished_ms ?? 0) - SAME_END_MS ? told : null;
  // Of one that runs the engine says 0.
  const exit_code = runs ? null : facts.exit_code;
  return {
    ...{ since, health, exit_code, restarts },
    oom_killed: end?.oom_killed === true || facts.oom_killed,
    ended_at: finished_ms,
    ended_with: end?.code ?? (finished_ms === null ? null : exit_code),
    oom_at: told?.oom_at ?? null,
    loops: runs && loops({ since, restarts }, told?.falls ?? [], now_ms),
  };
}

export function rowOf(
  name: string,
  declared: DeclaredContainer | null,
  seen: SeenContainer | null,
  measured: Measured | undefined,
): ContainerRow {
  const usage = seen?.listed.state === "running" ? measured?.usage : undefined;
  const row = {
    name,
    declared: declared !== null,
    state: seen?.listed.state ?? "missing",
    since: seen?.since ?? null,
    image: seen?.listed.image ?? declared?.spec.image ?? null,
    image_id: seen?.listed.image_id ?? null,
    health: seen?.health ?? null,
    exit_code: seen?.exit_code ?? null,
    restarts: seen?.restarts ?? null,
    oom_killed: seen?.oom_killed ?? null,
    ended_at: seen?.ended_at ?? null,
    ended_with: seen?.ended_with ?? null,
    oom_at: seen?.oom_at ?? null,
    cpu: usage === undefined ? null : (measured?.cpu ?? null),
    memory_bytes: usage?.memory_bytes ?? null,
    memory_limit_bytes: usage?.memory_limit_bytes ?? null,
    rx_bytes: usage?.rx_bytes ?? null,
    tx_bytes: usage?.tx_bytes ?? null,
  };
  return { ...row, verdict: judgeContainer(row, declared, seen?.loops) };
}

/** Nothing is known of any: those that are declared stand there as unknown. */
export function unreachable(
  base: Pick<ContainersSample, "at" | "present" | "engine" | "left_out">,
  wanted: readonly DeclaredContainer[],
): ContainersSample {
  const containers = wanted.slice(0, CONTAINERS_LIMIT).map(
    (each): ContainerRow => ({
      ...rowOf(each.name, each, null, undefined),
      state: "unknown",
      verdict: "unknown",
    }),
  );
  const unknown = wanted.length === 0 ? "" : `; ${wanted.length} declared containers are unknown`;
  const what = `the Docker engine does not answer: ${base.engine.error}${unknown}`.slice(0, 500);
  const colour = wanted.length === 0 ? "amber" : "red";
  return { ...base, containers, faults: [{ colour, what, about: null, ref: null, since: null }] };
}

/** Processors kept busy between two measurements; null when the counter began anew. */
export function busy(before: Measured, usage: ContainerUsage, now_ms: number): number | null {
  const spent_ms = (usage.cpu_ns - before.usage.cpu_ns) / 1e6;
  const over_ms = now_ms - before.at;
  return spent_ms < 0 || over_ms <= 0 ? null : Math.round((1_000 * spent_ms) / over_ms) / 1_000;
}
