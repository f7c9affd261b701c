/**
 * Containers: the engine's short list every 5 s (one call, 2 ms), what a container uses once a minute (a call each, 1 ms), its details when it changed. No
 * process, and no stream for each. On a host without Docker's socket nothing is loaded and nobody is asked.
 */

import type { Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import {
  CONTAINERS_LIMIT,
  CONTAINERS_PERIOD_MS,
  type ContainerRow,
  type ContainersSample,
} from "@muster/protocol/telemetry/containers";
import { gravest } from "@muster/protocol/telemetry/fault";
import type { ContainerUsage, ListedContainer } from "../ports/docker-facts.ts";
import type { Ports } from "../ports/index.ts";
import { sideBySide } from "../wait.ts";
import { containerEvents } from "./container-events.ts";
import {
  containerFault,
  type DeclaredContainer,
  judgeContainer,
  type SeenContainer,
} from "./container-judge.ts";
import type { Steady } from "./steady.ts";

const LOOK_MS = 5_000;
const FIRST_MS = 3_000;
/** What is used matters to nobody while the agent starts. */
const FIRST_USAGE_MS = 30_000;
/** Asked at the same time: a host with hundreds must not be kept busy by us. */
const AT_ONCE = 4;
/** A restart by the engine between two looks shows only in the details. */
const DETAILS_PERIOD_MS = 300_000;
/** The list says so of one that has just begun. */
const JUST_BEGUN = /second|Less than a minute|About a minute/i;

type Details = { readonly key: string; readonly at: number; readonly seen: Omit<SeenContainer, "listed"> };
type Measured = { readonly at: number; readonly usage: ContainerUsage; readonly cpu: number | null };

export function createContainers(
  { docker, now }: Pick<Ports, "docker" | "now">,
  declared: () => readonly Resource[],
): Steady<"containers"> {
  let details = new Map<string, Details>();
  let measured = new Map<string, Measured>();
  let measured_at = now() - CONTAINERS_PERIOD_MS + FIRST_USAGE_MS;
  /** Declared ones that were not as they should be at the look before: while one is replaced it is away for a moment. */
  let suspect: ReadonlySet<string> = new Set();

  const detail = async (
    listed: ListedContainer,
    signal: AbortSignal,
  ): Promise<Omit<SeenContainer, "listed">> => {
    const key = `${listed.state} ${JUST_BEGUN.test(listed.status) ? listed.status : listed.status.replace(/\d+|an?\b|About/g, "")}`;
    const held = details.get(listed.id);
    if (held !== undefined && held.key === key && Math.abs(now() - held.at) < DETAILS_PERIOD_MS)
      return held.seen;
    const facts = await docker.container(listed.id, signal);
    const seen = {
      since: facts === null ? null : facts.status === "running" ? facts.started_ms : facts.finished_ms,
      health: facts?.health ?? null,
      exit_code: facts === null || facts.status === "running" ? null : facts.exit_code,
      restarts: facts?.restarts ?? null,
      oom_killed: facts?.oom_killed ?? null,
    };
    details.set(listed.id, { key, at: now(), seen });
    return seen;
  };

  const measure = async (listed: readonly ListedContainer[], signal: AbortSignal): Promise<void> => {
    if (now() - measured_at < CONTAINERS_PERIOD_MS && now() >= measured_at) return;
    measured_at = now();
    const found = new Map<string, Measured>();
    const running = listed.filter(({ state }) => state === "running").slice(0, CONTAINERS_LIMIT);
    await sideBySide(running, AT_ONCE, async ({ id }) => {
      const usage = await docker.usage(id, signal);
      if (usage === null) return;
      const before = measured.get(id);
      found.set(id, { at: now(), usage, cpu: before === undefined ? null : busy(before, usage, now()) });
    });
    measured = found;
  };

  const nothing = (
    present: boolean,
    error: string | null,
  ): Pick<ContainersSample, "at" | "present" | "engine" | "left_out"> => ({
    at: now(),
    present,
    engine: { reachable: error === null, error },
    left_out: 0,
  });

  return {
    kind: "containers",
    look_ms: LOOK_MS,
    first_ms: FIRST_MS,
    async look(signal) {
      const wanted = declared().flatMap((resource) =>
        resource.kind === "container" ? [{ name: resource.name, spec: resource.spec }] : [],
      );
      if (!(await docker.present())) {
        if (wanted.length === 0) return { ...nothing(false, null), containers: [], faults: [] };
        return unreachable(nothing(true, "Docker does not run here: its socket is not there"), wanted);
      }
      try {
        const listed = await docker.list(signal);
        const ids = new Set(listed.map(({ id }) => id));
        details = new Map([...details].filter(([id]) => ids.has(id)));
        await measure(listed, signal);
        const seen = new Map<string, SeenContainer>();
        await sideBySide(listed.slice(0, CONTAINERS_LIMIT * 2), AT_ONCE, async (each) => {
          seen.set(each.name, { listed: each, ...(await detail(each, signal)) });
        });
        const usage = (name: string) => measured.get(seen.get(name)?.listed.id ?? "");
        const names = new Set(wanted.map(({ name }) => name));
        const rows = [
          ...wanted.map((each) => rowOf(each.name, each, seen.get(each.name) ?? null, usage(each.name))),
          ...[...seen.values()]
            .filter(({ listed: { name } }) => !names.has(name))
            .sort((one, other) => one.listed.name.localeCompare(other.listed.name))
            .map((each) => rowOf(each.listed.name, null, each, usage(each.listed.name))),
        ];
        const wrong = new Set(rows.flatMap((row) => (containerFault(row) === null ? [] : [row.name])));
        const faults = rows.flatMap((row) => (suspect.has(row.name) ? (containerFault(row) ?? []) : []));
        suspect = wrong;
        return {
          ...nothing(true, null),
          containers: rows.slice(0, CONTAINERS_LIMIT),
          left_out: Math.max(0, rows.length - CONTAINERS_LIMIT),
          faults: gravest(faults),
        };
      } catch (error) {
        if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
        return unreachable(nothing(true, error.detail || error.message), wanted);
      }
    },
    shape: ({ engine, containers }) => [
      engine,
      containers.map(({ name, state, since, image_id, health, restarts }) => [
        name,
        state,
        since,
        image_id,
        health,
        restarts,
      ]),
    ],
    events: containerEvents,
  };
}

function rowOf(
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
    cpu: usage === undefined ? null : (measured?.cpu ?? null),
    memory_bytes: usage?.memory_bytes ?? null,
    memory_limit_bytes: usage?.memory_limit_bytes ?? null,
    rx_bytes: usage?.rx_bytes ?? null,
    tx_bytes: usage?.tx_bytes ?? null,
  };
  return { ...row, verdict: judgeContainer(row, declared) };
}

/** Nothing is known of any: those that are declared stand there as unknown. */
function unreachable(
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
function busy(before: Measured, usage: ContainerUsage, now_ms: number): number | null {
  const spent_ms = (usage.cpu_ns - before.usage.cpu_ns) / 1e6;
  const over_ms = now_ms - before.at;
  return spent_ms < 0 || over_ms <= 0 ? null : Math.round((1_000 * spent_ms) / over_ms) / 1_000;
}
