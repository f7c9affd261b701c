/** `ctl.rollouts`: the rollouts that are kept, in short, as bucket `rollouts` has them: any controller answers. */
import type { Bus } from "@muster/ports/bus";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import { ROLLOUT_HOSTS_LIMIT, type RolloutBrief } from "@muster/protocol/control/rollouts";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { RolloutState } from "./state.ts";

/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 700_000;
/** Worst first: what comes first stays when there are too many. */
const TOLD = ["failed", "returned", "silent", "published"] as const;

/** Errors: those of the broker. A rollout that cannot be read is left out. */
export async function rolloutsPage(
  bus: Pick<Bus, "kv">,
  { limit }: ControlRequest<"rollouts">,
  now_ms: number,
): Promise<ControlReply<"rollouts">> {
  const states = (await bus.kv("rollouts").entries()).flatMap(({ key, value }) => {
    try {
      return [parseJson(RolloutState, value, `rollout ${key}`)];
    } catch (error) {
      if (error instanceof FleetError) return [];
      throw error;
    }
  });
  const newest = states.sort((one, other) => other.generation - one.generation).slice(0, limit);
  const rollouts: RolloutBrief[] = [];
  let bytes = 0;
  for (const brief of newest.map(briefOf)) {
    bytes += JSON.stringify(brief).length;
    if (bytes > REPLY_BYTES) break;
    rollouts.push(brief);
  }
  return { rollouts, now: now_ms };
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
