/**
 * Containers: the engine's event stream says when to look at once; its short list (one call, 2 ms) is looked at every 10 s besides, since an engine that hangs
 * tells nothing, and every 5 s while the stream does not stand. What a container uses is asked once a minute (a call each, 1 ms), its details when it changed.
 * No process, and no stream for each. On a host without Docker's socket nothing is loaded and nobody is asked.
 */

import type { Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import {
  CONTAINERS_LIMIT,
  CONTAINERS_PERIOD_MS,
  type ContainersSample,
} from "@muster/protocol/telemetry/containers";
import { gravest } from "@muster/protocol/telemetry/fault";
import type { ListedContainer } from "../ports/docker-facts.ts";
import type { Ports } from "../ports/index.ts";
import { pause, sideBySide } from "../wait.ts";
import { containerEvents } from "./container-events.ts";
import { containerFault, loops, type SeenContainer } from "./container-judge.ts";
import { busy, type Measured, rowOf, seenOf, unreachable } from "./container-rows.ts";
import type { Steady } from "./steady.ts";

const LOOK_MS = 10_000;
const DEAF_LOOK_MS = 5_000;
/** What is declared is red when it was not as it should be for so long: while one is replaced it is away for a moment. */
const SUSPECT_MS = 4_000;
/** From an event to the look: what comes with it, such as the end and the new start, is one look. */
const GATHER_MS = 150;
/** Looks for events come no closer, so that a host that starts a container every second is not kept busy by us. */
const APART_MS = 700;
const FIRST_MS = 3_000;
/** What is used matters to nobody while the agent starts. */
const FIRST_USAGE_MS = 30_000;
/** Asked at the same time: a host with hundreds must not be kept busy by us. */
const AT_ONCE = 4;
/** A restart by the engine between two looks shows only in the details. */
const DETAILS_PERIOD_MS = 300_000;
/** The list says so of one that has just begun. */
const JUST_BEGUN = /second|Less than a minute|About a minute/i;

type Details = { readonly key: string; readonly at: number; readonly seen: SeenContainer };

export function createContainers(
  { docker, now }: Pick<Ports, "docker" | "now">,
  declared: () => readonly Resource[],
): Steady<"containers"> {
  let details = new Map<string, Details>();
  let measured = new Map<string, Measured>();
  let measured_at = now() - CONTAINERS_PERIOD_MS + FIRST_USAGE_MS;
  /** Since when each that is not as it should be was so at every look. */
  let suspect: ReadonlyMap<string, number> = new Map();
  /** A fault is not told yet of one of them. */
  let doubted = false;
  /** What the engine told of since they were looked at. */
  const stale = new Set<string>();
  let all_stale = false;
  let listen: (() => void) | null = null;

  const detail = async (listed: ListedContainer, signal: AbortSignal): Promise<Details["seen"]> => {
    const key = `${listed.state} ${JUST_BEGUN.test(listed.status) ? listed.status : listed.status.replace(/\d+|an?\b|About/g, "")}`;
    const held = details.get(listed.id);
    const fresh = !stale.delete(listed.id) && held?.key === key;
    if (fresh && Math.abs(now() - held.at) < DETAILS_PERIOD_MS) {
      const falls = docker.ends(listed.id)?.falls ?? [];
      return { ...held.seen, listed, loops: held.seen.loops && loops(held.seen, falls, now()) };
    }
    const facts = await docker.container(listed.id, signal);
    const state = facts?.status ?? listed.state;
    const seen = { ...seenOf(facts, docker.ends(listed.id), now()), listed: { ...listed, state } };
    // Between the list and this it went on: the next list is not compared with what was not there.
    if (state === listed.state) details.set(listed.id, { key, at: now(), seen });
    else details.delete(listed.id);
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
    get look_ms() {
      if (doubted) return SUSPECT_MS + 50;
      return docker.hears() ? LOOK_MS : DEAF_LOOK_MS;
    },
    first_ms: FIRST_MS,
    follow(ring, signal) {
      let rung_at = Number.NEGATIVE_INFINITY;
      let waiting = false;
      const changed = async (id: string | null) => {
        if (id === null) all_stale = true;
        else stale.add(id);
        if (waiting) return;
        waiting = true;
        await pause(Math.max(GATHER_MS, rung_at + APART_MS - performance.now()), signal);
        waiting = false;
        rung_at = performance.now();
        ring();
      };
      // Only where an engine answers: elsewhere nothing of it is loaded.
      listen = () => {
        listen = null;
        docker.watch((id) => void changed(id), signal);
      };
    },
    async look(signal) {
      const wanted = declared().flatMap((resource) =>
        resource.kind === "container" ? [{ name: resource.name, spec: resource.spec }] : [],
      );
      if (!(await docker.present())) {
        if (wanted.length === 0) return { ...nothing(false, null), containers: [], faults: [] };
        return unreachable(nothing(true, "Docker does not run here: its socket is not there"), wanted);
      }
      try {
        listen?.();
        if (all_stale) details.clear();
        all_stale = false;
        const listed = await docker.list(signal);
        const ids = new Set(listed.map(({ id }) => id));
        for (const id of stale) if (!ids.has(id)) stale.delete(id);
        details = new Map([...details].filter(([id]) => ids.has(id)));
        await measure(listed, signal);
        const seen = new Map<string, SeenContainer>();
        await sideBySide(listed.slice(0, CONTAINERS_LIMIT * 2), AT_ONCE, async (each) => {
          seen.set(each.name, await detail(each, signal));
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
        const unhealthy = new Set(
          rows.flatMap(({ name, verdict }) => (verdict === "unhealthy" ? [name] : [])),
        );
        const wrong = rows.flatMap((row) => containerFault(row) ?? []);
        const before = suspect;
        suspect = new Map(wrong.map(({ about }) => [about ?? "", before.get(about ?? "") ?? now()]));
        // A health check has its own patience; a clock that was set back counts as time.
        const faults = wrong.filter(({ about }) => {
          const age_ms = now() - (suspect.get(about ?? "") ?? 0);
          return age_ms >= SUSPECT_MS || age_ms < 0 || unhealthy.has(about ?? "");
        });
        doubted = faults.length < wrong.length;
        return {
          ...nothing(true, null),
          containers: rows.slice(0, CONTAINERS_LIMIT),
          left_out: Math.max(0, rows.length - CONTAINERS_LIMIT),
          faults: gravest(faults),
        };
      } catch (error) {
        if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
        doubted = false;
        all_stale = true;
        return unreachable(nothing(true, error.detail || error.message), wanted);
      }
    },
    shape: ({ engine, containers }) => [
      engine,
      containers.map(({ name, state, since, image_id, health, restarts, ended_at, oom_at, verdict }) => [
        ...[name, state, since, image_id, health, restarts],
        ...[ended_at, oom_at, verdict],
      ]),
    ],
    events: containerEvents,
  };
}
