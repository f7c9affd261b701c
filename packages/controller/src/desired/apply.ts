/** `ctl.apply`: orders a rollout. Everything is checked first; then the release is stored, the generation taken, and the rollout begun. */
import { setImmediate as turn } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import {
  loadEnvelope,
  openRelease,
  type Release,
  type StoredEnvelope,
  storeEnvelope,
  subjects,
  type Verifier,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { Events } from "../events.ts";
import type { HostRecords, Said } from "../records/hosts.ts";
import { beginRollout, RolloutState } from "../rollout/state.ts";
import { checkFree, checkHosts, checkRelease } from "./check.ts";
import { moveHead, readHead, taken } from "./head.ts";
import type { Staging } from "./stage.ts";

/** How many ended rollouts are kept to look at. */
const KEPT = 50;
const READS_AT_ONCE = 64;

export type ApplyPorts = {
  readonly bus: Pick<Bus, "directGet" | "publishStored" | "kv">;
  readonly fleet: string;
  readonly records: HostRecords;
  readonly staging: Staging;
  readonly events: Pick<Events, "emit">;
  readonly now: () => number;
  verifier(): Verifier;
};

/**
 * Orders the rollout; the leader begins it at its event. Ordering the same one again answers the same.
 * Errors: as `openRelease`; INVALID and WRONG_TARGET (check.ts), CONFLICT (the generation, or a higher one, was taken), ROLLOUT_BUSY.
 */
export async function apply(
  rollout: string,
  stored: StoredEnvelope,
  ports: ApplyPorts,
): Promise<{ rollout: string; generation: number }> {
  const { bus, records, now } = ports;
  const envelope = loadEnvelope(stored);
  const { release, by, kit } = openRelease(rollout, envelope, ports.verifier());
  checkRelease(release, rollout, ports.fleet, now());
  const { head, revision } = await readHead(bus);
  if (head?.rollout === rollout && head.generation === release.generation) {
    // The answer to the first order was lost, or its controller died in between.
    await begin(release, head.by, ports);
    return { rollout, generation: release.generation };
  }
  // A gap is no harm: what was staged under a number and then given up may have reached a host, and the person who signs has seen it there.
  if (release.generation <= (head?.generation ?? 0)) throw taken(release.generation, head);

  if ((await bus.kv("rollouts").get(rollout)) !== null)
    throw new FleetError("CONFLICT", `rollout ${rollout} was ordered before: a new one needs a new id`);

  const [staged, running] = await Promise.all([
    stagedOf(release, ports),
    runningRollouts(ports, head?.rollout ?? null),
  ]);
  const strangers = Object.keys(release.hosts).filter(
    (name) => records.byName(name)?.id !== release.hosts[name]?.id,
  );
  await Promise.all(strangers.map((name) => records.fetch(name)));
  checkHosts(
    release,
    (name) => records.byName(name),
    (name) => staged.get(name),
  );
  checkFree(release, running);

  await bus.publishStored(subjects.release(rollout), envelope.body, {
    headers: storeEnvelope(envelope).headers,
  });
  await moveHead(bus, { generation: release.generation, rollout, by, at: now() }, revision);
  await begin(release, by, ports);
  ports.staging.forget(rollout);
  await regroup(staged, ports);
  const count = Object.keys(release.hosts).length;
  const hosts = `${count} ${count === 1 ? "host" : "hosts"} in ${release.waves.length} ${release.waves.length === 1 ? "wave" : "waves"}`;
  const why = release.message === "" ? "" : `: ${release.message}`;
  ports.events.emit({
    host: "_",
    kind: kit ? "kit" : "rollout",
    severity: kit ? "error" : "info",
    what: `${by}${kit ? " with the recovery kit" : ""} rolls out generation ${release.generation} to ${hosts}${why}`,
    by,
    rollout,
  });
  return { rollout, generation: release.generation };
}

async function stagedOf(release: Release, ports: ApplyPorts) {
  const found = new Map<string, Awaited<ReturnType<Staging["staged"]>>>();
  const hosts = Object.entries(release.hosts);
  for (let at = 0; at < hosts.length; at += READS_AT_ONCE) {
    const some = hosts.slice(at, at + READS_AT_ONCE);
    await Promise.all(
      some.map(async ([name, { id }]) => {
        found.set(name, await ports.staging.staged(release.id, id));
      }),
    );
  }
  return found;
}

/** The records follow what a person signed: whom a guest may see goes by them, and how pages are ordered. What fails is told, and done with the next apply. */
async function regroup(
  staged: ReadonlyMap<string, Said | null>,
  { records, events }: ApplyPorts,
): Promise<void> {
  const hosts = [...staged];
  for (let at = 0; at < hosts.length; at += READS_AT_ONCE) {
    await Promise.all(
      hosts.slice(at, at + READS_AT_ONCE).map(async ([host, manifest]) => {
        try {
          if (manifest !== null) await records.regroup(host, manifest);
        } catch (error) {
          if (!(error instanceof FleetError)) throw error;
          const what = `its new groups and labels could not be written down: ${error.message}`;
          events.emit({ host, kind: "host", severity: "warning", what });
        }
      }),
    );
  }
}

/** Those that run; also the newest one whose state was not yet written when its controller died or is about to be. Drops the oldest that ended. */
async function runningRollouts(ports: ApplyPorts, newest: string | null): Promise<RolloutState[]> {
  const kv = ports.bus.kv("rollouts");
  const ended = new Map<string, { generation: number; revision: number }>();
  const going = new Map<string, RolloutState>();
  for await (const { key, value, revision } of kv.changes(0)) {
    ended.delete(key);
    going.delete(key);
    if (value === null) continue;
    const state = parseJson(RolloutState, value, `rollout ${key}`);
    if (state.state === "running") going.set(key, state);
    else ended.set(key, { generation: state.generation, revision });
    // The bucket may hold 64 MiB: what else a controller does, its lease above all, goes in between.
    await turn();
  }
  const oldest = [...ended].sort(([, a], [, b]) => b.generation - a.generation).slice(KEPT);
  // Only one more comes with every order: a few deletions each keep the bucket small, and what is in use is never touched.
  await Promise.all(oldest.map(([id, { revision }]) => kv.delete(id, { revision, ttl_s: 60 })));
  const running = [...going.values()];
  if (newest === null || ended.has(newest) || going.has(newest)) return running;
  const stored = await ports.bus.directGet("RELEASE", subjects.release(newest));
  if (stored === null) return running;
  const { release, by } = openRelease(newest, stored, ports.verifier());
  return [...running, beginRollout(release, by, ports.now())];
}

async function begin(release: Release, by: string, ports: ApplyPorts): Promise<void> {
  const state = beginRollout(release, by, ports.now());
  try {
    await ports.bus.kv("rollouts").create(release.id, Buffer.from(JSON.stringify(state)));
  } catch (error) {
    // Begun already: the first order did it.
    if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
  }
}
