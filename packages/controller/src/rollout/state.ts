/** A rollout's state as it is persisted: what `ctl` sees of it, and what another controller needs to go on. */
import { HostRollout, Instant, type Release, Rollout } from "@muster/protocol";
import { z } from "zod";

export const HostState = HostRollout.extend({
  published_at: Instant.nullable(),
  was_silent: z.boolean().describe("Nothing was heard of it when its manifest went out."),
});
export type HostState = z.infer<typeof HostState>;

export const RolloutState = Rollout.extend({
  wave_began_at: Instant,
  hosts: z.record(z.string(), HostState),
});
export type RolloutState = z.infer<typeof RolloutState>;

/** How a rollout begins: everybody waits, the first wave may go. */
export function beginRollout(release: Release, by: string, now_ms: number): RolloutState {
  const waiting = (): HostState => ({
    state: "waiting",
    at: now_ms,
    detail: "",
    published_at: null,
    was_silent: false,
  });
  return {
    id: release.id,
    generation: release.generation,
    by,
    message: release.message,
    started_at: now_ms,
    ended_at: null,
    state: "running",
    wave: 0,
    waves: release.waves,
    wave_began_at: now_ms,
    hosts: Object.fromEntries(Object.keys(release.hosts).map((name) => [name, waiting()])),
    detail: "",
  };
}
