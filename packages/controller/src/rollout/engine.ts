/**
 * Runs rollouts while this controller leads: wakes `advance` at every word of a host, publishes what it orders, keeps the state in bucket
 * `rollouts`. The revision is the lock: who loses a compare-and-set has lost the rollout. A manifest goes out exactly as its operator
 * signed it, after its signature was checked once more, and only once the state that says so is stored: who lost the rollout publishes nothing
 * of it any more, and what a controller stored and did not publish before it died goes out from the next one, since twice is harmless.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import {
  manifestsReader,
  openManifest,
  openRelease,
  type Release,
  subjects,
  type Verifier,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { EventInput } from "../events.ts";
import { pause } from "../retry.ts";
import { type Advance, advance } from "./advance.ts";
import { RolloutState } from "./state.ts";
import type { HostFact } from "./verdict.ts";

/** Most have ended: their hosts are not looked at. */
const Stands = RolloutState.pick({ state: true });
const RETRY_MS = 500;
/** A timer of Node overflows beyond 2^31 ms. */
const TIMER_LIMIT_MS = 3_600_000;

export type EnginePorts = {
  readonly bus: Pick<Bus, "directGet" | "publishStored" | "kv">;
  readonly fleet: string;
  readonly log: Log;
  readonly now: () => number;
  verifier(): Verifier;
  fact(host: string): Omit<HostFact, "unpublishable">;
  emit(event: EventInput): void;
};

type Running = {
  readonly release: Release;
  readonly life: AbortController;
  readonly unpublishable: Map<string, string>;
  readonly read: ReturnType<typeof manifestsReader>;
  state: RolloutState;
  /** Hosts whose manifests go out once the state is stored. */
  due: string[];
  notes: Advance["notes"][number][];
  revision: number;
  dirty: boolean;
  saving: boolean;
  timer: NodeJS.Timeout | undefined;
  soon: NodeJS.Immediate | undefined;
};

export class RolloutEngine {
  readonly #ports: EnginePorts;
  readonly #running = new Map<string, Running>();
  #leading = false;

  constructor(ports: EnginePorts) {
    this.#ports = ports;
  }

  get leading(): boolean {
    return this.#leading;
  }

  /** Which change a host was sent and has not come to an end with; null = none, or another controller leads. */
  changing(host: string): string | null {
    for (const { state } of this.#running.values())
      if (state.hosts[host]?.state === "published") return `generation ${state.generation} goes out to it`;
    return null;
  }

  /** Begins to lead: takes up every running rollout. */
  async lead(): Promise<void> {
    this.#leading = true;
    for await (const { key, value } of this.#ports.bus.kv("rollouts").changes(0)) {
      try {
        if (value !== null && parseJson(Stands, value, `rollout ${key}`).state === "running")
          await this.take(key);
      } catch (error) {
        // One that cannot be read must not keep the others from going on.
        if (!(error instanceof FleetError) || error.retryable) throw error;
        this.#ports.log.error({ err: error, rollout: key }, "a rollout cannot be taken up");
      }
    }
  }

  /** Stops leading: somebody else goes on from what is stored. */
  yield(): void {
    this.#leading = false;
    for (const id of [...this.#running.keys()]) this.#drop(id);
  }

  /** As `take`, without making anybody wait for it: tried again while this controller leads and the stores are away. */
  follow(id: string): void {
    const attempt = async (): Promise<void> => {
      while (this.#leading) {
        try {
          await this.take(id);
          return;
        } catch (error) {
          if (!(error instanceof FleetError)) throw error;
          this.#ports.log.warn({ err: error, rollout: id }, "a rollout cannot be taken up");
          if (!error.retryable) return;
          await sleep(RETRY_MS);
        }
      }
    };
    void attempt();
  }

  /** Takes up a rollout, or what another controller made of it. Does nothing while another controller leads. */
  async take(id: string): Promise<void> {
    if (!this.#leading) return;
    const entry = await this.#ports.bus.kv("rollouts").get(id);
    if (entry === null || !this.#leading) return;
    const state = parseJson(RolloutState, entry.value, `rollout ${id}`);
    const held = this.#running.get(id);
    if (held !== undefined && held.revision >= entry.revision) return;
    this.#drop(id);
    if (state.state !== "running") return;
    const stored = await this.#ports.bus.directGet("RELEASE", subjects.release(id));
    if (stored === null) throw new FleetError("NOT_FOUND", `the release of rollout ${id}`);
    const { release } = openRelease(id, stored, this.#ports.verifier());
    if (!this.#leading || this.#running.has(id)) return;
    const rollout: Running = {
      release,
      state,
      life: new AbortController(),
      unpublishable: new Map(),
      read: manifestsReader(),
      due: [],
      notes: [],
      revision: entry.revision,
      dirty: false,
      saving: false,
      timer: undefined,
      soon: undefined,
    };
    this.#running.set(id, rollout);
    // What the controller before us ordered may not have gone out: once more does no harm.
    for (const [name, host] of Object.entries(state.hosts))
      if (host.state === "published") void this.#publish(rollout, name);
    this.#step(rollout);
  }

  /** A host has said where it stands. The words of many hosts that come at once are looked at once. */
  heard(host: string): void {
    for (const rollout of this.#running.values()) {
      const state = rollout.state.hosts[host]?.state;
      if (state === undefined || state === "waiting" || state === "converged") continue;
      rollout.soon ??= setImmediate(() => this.#step(rollout));
    }
  }

  #step(rollout: Running): void {
    clearImmediate(rollout.soon);
    rollout.soon = undefined;
    if (rollout.life.signal.aborted) return;
    const fact = (host: string): HostFact => ({
      ...this.#ports.fact(host),
      unpublishable: rollout.unpublishable.get(host) ?? null,
    });
    const next = advance(rollout.state, rollout.release, fact, this.#ports.now());
    const changed = next.state !== rollout.state;
    rollout.state = next.state;
    rollout.due.push(...next.publish);
    rollout.notes.push(...next.notes);
    clearTimeout(rollout.timer);
    if (next.wake_at !== null) {
      const wait_ms = Math.min(Math.max(next.wake_at - this.#ports.now(), 0) + 1, TIMER_LIMIT_MS);
      rollout.timer = setTimeout(() => this.#step(rollout), wait_ms);
    }
    if (changed) {
      rollout.dirty = true;
      void this.#save(rollout);
    }
  }

  async #publish(rollout: Running, host: string): Promise<void> {
    const { release, life } = rollout;
    const target = release.hosts[host];
    if (target === undefined) throw new TypeError(`${host} is in a wave and not in the release`);
    while (!life.signal.aborted) {
      try {
        const staged = await this.#ports.bus.directGet("RELEASE", subjects.staged(release.id, target.id));
        if (staged === null) throw new FleetError("INVALID", "its manifest is no longer stored");
        const { manifest } = openManifest(
          staged,
          { fleet: this.#ports.fleet, id: target.id },
          this.#ports.verifier(),
          rollout.read,
        );
        if (manifest.content_hash !== target.content_hash || manifest.generation !== release.generation)
          throw new FleetError("ALTERED", "its stored manifest is not the one of the release");
        await this.#ports.bus.publishStored(subjects.desired(target.id), staged.body, {
          headers: storedHeaders(staged.headers),
          msg_id: `${release.id}.${target.id}`,
        });
        return;
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        this.#ports.log.warn({ err: error, host, rollout: release.id }, "a manifest could not be published");
        if (!error.retryable) {
          rollout.unpublishable.set(host, error.message);
          this.#step(rollout);
          return;
        }
        await pause(RETRY_MS, life.signal);
      }
    }
  }

  /** One write at a time, and always of the newest state. */
  async #save(rollout: Running): Promise<void> {
    if (rollout.saving) return;
    rollout.saving = true;
    const { id } = rollout.state;
    while (rollout.dirty && !rollout.life.signal.aborted) {
      rollout.dirty = false;
      const bytes = Buffer.from(JSON.stringify(rollout.state));
      try {
        const [due, notes] = [[...rollout.due], [...rollout.notes]];
        rollout.revision = await this.#ports.bus.kv("rollouts").update(id, bytes, rollout.revision);
        rollout.due.splice(0, due.length);
        rollout.notes.splice(0, notes.length);
        for (const host of due) void this.#publish(rollout, host);
        // Told when it is stored: who then asks is told the same.
        for (const note of notes)
          this.#ports.emit({ host: "_", kind: "rollout", by: rollout.state.by, rollout: id, ...note });
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (error.code === "CONFLICT") {
          // Aborted by a person, or led by somebody else now.
          this.#drop(id);
          this.follow(id);
          return;
        }
        this.#ports.log.warn({ err: error, rollout: id }, "the state of a rollout could not be stored");
        rollout.dirty = true;
        await pause(RETRY_MS, rollout.life.signal);
      }
    }
    rollout.saving = false;
    if (rollout.state.state !== "running") this.#drop(id);
  }

  #drop(id: string): void {
    const rollout = this.#running.get(id);
    if (rollout === undefined) return;
    this.#running.delete(id);
    clearTimeout(rollout.timer);
    clearImmediate(rollout.soon);
    rollout.life.abort();
  }
}

/** The operator's headers, without those that the server set. */
function storedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("Muster-")));
}
