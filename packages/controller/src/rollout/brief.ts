/** `ctl.rollouts`: the rollouts that are kept, in short, as bucket `rollouts` has them: any controller answers. */
import { setImmediate as turn } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import type { KeyValueChange } from "@muster/ports/bus-kv";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { ROLLOUT_HOSTS_LIMIT, type RolloutBrief } from "@muster/protocol/control/rollouts";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { RolloutState } from "./state.ts";

/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 700_000;
/** The most that one asks for. */
const KEPT = 20;
/** Worst first: what comes first stays when there are too many. */
const TOLD = ["failed", "returned", "silent", "published"] as const;

/** What went without a word, by the bucket's limit or because its stream was made anew, is told for so long. */
const ANEW_MS = 3_600_000;

export class RolloutBriefs {
  readonly #bus: Pick<Bus, "kv">;
  /** The newest, by key. The bucket may hold 64 MiB: only what was written since the last question is read. */
  readonly #kept = new Map<string, { generation: number; brief: RolloutBrief }>();
  #read_to = 0;
  #anew_at = 0;
  #reading: Promise<void> = Promise.resolve();

  constructor(bus: Pick<Bus, "kv">) {
    this.#bus = bus;
  }

  /** Errors: those of the broker. A rollout that cannot be read is left out. */
  async page({ limit }: ControlRequest<"rollouts">, now_ms: number): Promise<ControlReply<"rollouts">> {
    // One after the other: who asks is told what was stored before.
    const read = this.#reading.then(() => this.#read(now_ms));
    this.#reading = read.catch(() => undefined);
    await read;
    const newest = [...this.#kept.values()].sort((one, other) => other.generation - one.generation);
    const rollouts: RolloutBrief[] = [];
    let bytes = 0;
    for (const { brief } of newest.slice(0, limit)) {
      bytes += Buffer.byteLength(JSON.stringify(brief));
      // The newest is told in any case.
      if (rollouts.length > 0 && bytes > REPLY_BYTES) break;
      rollouts.push(brief);
    }
    return { rollouts, now: now_ms };
  }

  async #read(now_ms: number): Promise<void> {
    if (now_ms < this.#anew_at || now_ms - this.#anew_at >= ANEW_MS) this.#forget(now_ms);
    // When one of the newest went, those behind it are among them.
    while (await this.#readOn()) this.#forget(now_ms);
  }

  #forget(now_ms: number): void {
    this.#kept.clear();
    this.#read_to = 0;
    this.#anew_at = now_ms;
  }

  /** Whether one of the newest went. */
  async #readOn(): Promise<boolean> {
    let went = false;
    for await (const change of this.#bus.kv("rollouts").changes(this.#read_to)) {
      const full = this.#kept.size === KEPT;
      const was = this.#kept.delete(change.key);
      const state = stateOf(change);
      if (state !== null) this.#kept.set(change.key, { generation: state.generation, brief: briefOf(state) });
      went ||= full && was && state === null;
      this.#trim();
      this.#read_to = change.revision;
      // What else a controller does, its lease above all, goes in between.
      await turn();
    }
    return went;
  }

  #trim(): void {
    if (this.#kept.size <= KEPT) return;
    const [oldest] = [...this.#kept].sort(([, one], [, other]) => one.generation - other.generation);
    if (oldest !== undefined) this.#kept.delete(oldest[0]);
  }
}

function stateOf({ key, value }: KeyValueChange): RolloutState | null {
  try {
    return value === null ? null : parseJson(RolloutState, value, `rollout ${key}`);
  } catch (error) {
    if (error instanceof FleetError) return null;
    throw error;
  }
}

/** Who is fine, or waits, is counted and not named. */
export function briefOf(state: RolloutState): RolloutBrief {
  const { id, generation, by, message, started_at, ended_at, wave, detail, waves, hosts } = state;
  const wave_of = new Map(waves.flatMap((names, at) => names.map((name) => [name, at] as const)));
  const rank = (name: string) => (TOLD as readonly string[]).indexOf(hosts[name]?.state ?? "");
  const told = Object.keys(hosts)
    .filter((name) => rank(name) >= 0)
    .sort((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
  return {
    ...{ id, generation, by, message, started_at, ended_at, state: state.state, wave, detail },
    waves: waves.map((names) => {
      const counts: RolloutBrief["waves"][number] = {};
      for (const name of names) {
        const how = hosts[name]?.state ?? "waiting";
        counts[how] = (counts[how] ?? 0) + 1;
      }
      return counts;
    }),
    hosts: told.slice(0, ROLLOUT_HOSTS_LIMIT).flatMap((host) => {
      const of = hosts[host];
      return of === undefined
        ? []
        : [{ host, wave: wave_of.get(host) ?? -1, state: of.state, at: of.at, detail: of.detail }];
    }),
    left_out: Math.max(0, told.length - ROLLOUT_HOSTS_LIMIT),
  };
}
