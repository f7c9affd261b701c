/** `ctl.rollouts`: the rollouts that are kept, in short, as bucket `rollouts` has them: any controller answers. */
import { setImmediate as turn } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import type { KeyValueEntry } from "@muster/ports/bus-kv";
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

/** Of one stored rollout; `generation` null: it cannot be read. `brief` null: it is not among the newest. */
type Read = { readonly revision: number; readonly generation: number | null; brief: RolloutBrief | null };

export class RolloutBriefs {
  readonly #bus: Pick<Bus, "kv">;
  /** By key, of its newest revision: most have ended and change no more, and pages ask every few seconds. */
  readonly #read = new Map<string, Read>();

  constructor(bus: Pick<Bus, "kv">) {
    this.#bus = bus;
  }

  /** Errors: those of the broker. A rollout that cannot be read is left out. */
  async page({ limit }: ControlRequest<"rollouts">, now_ms: number): Promise<ControlReply<"rollouts">> {
    const entries = await this.#bus.kv("rollouts").entries();
    const found: { entry: KeyValueEntry; generation: number; read: Read }[] = [];
    for (const entry of entries) {
      const read = await this.#readOf(entry);
      if (read.generation !== null) found.push({ entry, generation: read.generation, read });
    }
    const living = new Set(entries.map(({ key }) => key));
    for (const key of this.#read.keys()) if (!living.has(key)) this.#read.delete(key);
    found.sort((one, other) => other.generation - one.generation);
    for (const { read } of found.slice(KEPT)) read.brief = null;
    const rollouts: RolloutBrief[] = [];
    let bytes = 0;
    for (const { entry, read } of found.slice(0, limit)) {
      read.brief ??= parsed(entry).brief;
      if (read.brief === null) continue;
      bytes += Buffer.byteLength(JSON.stringify(read.brief));
      // The newest is told in any case.
      if (rollouts.length > 0 && bytes > REPLY_BYTES) break;
      rollouts.push(read.brief);
    }
    return { rollouts, now: now_ms };
  }

  async #readOf(entry: KeyValueEntry): Promise<Read> {
    const held = this.#read.get(entry.key);
    if (held?.revision === entry.revision) return held;
    const read = parsed(entry);
    this.#read.set(entry.key, read);
    // The bucket may hold 64 MiB: what else a controller does, its lease above all, goes in between.
    await turn();
    return read;
  }
}

function parsed({ key, value, revision }: KeyValueEntry): Read {
  try {
    const state = parseJson(RolloutState, value, `rollout ${key}`);
    return { revision, generation: state.generation, brief: briefOf(state) };
  } catch (error) {
    if (error instanceof FleetError) return { revision, generation: null, brief: null };
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
