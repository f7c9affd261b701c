/**
 * A host of which there is nothing to say: converged, heard, not drained, every expected session up. Most hosts are so at most times, and `ctl status` of a large fleet
 * need not carry their whole samples: a brief is a fiftieth of them. The rule errs towards the whole view: what is told of a brief host is only what a
 * brief holds.
 */
import { z } from "zod";
import { HostId, HostName, Instant } from "./names.ts";
import type { HostView } from "./record.ts";
import { CHECKS_LIMIT } from "./resources/check.ts";
import { bgpColour, sessionCounts } from "./telemetry/bgp.ts";
import { checkColour } from "./telemetry/checks.ts";
import { ExpiringCertificate } from "./telemetry/convergence.ts";
import { isBlind } from "./telemetry/index.ts";
import { machineFaults } from "./telemetry/machine-faults.ts";

export const HostBrief = z.object({
  name: HostName,
  id: HostId,
  groups: z.array(z.string()).describe("As its record has them; the folder decides."),
  heard_at: Instant.describe("When its last telemetry came."),
  clock_skew_ms: z.int().describe("By how much its clock is ahead of the controller's."),
  since: Instant.describe("Since when it is converged."),
  generation: z.int().nullable().describe("The newest accepted."),
  sessions: z
    .object({ up: z.int().describe("Of those, up."), expected: z.int().describe("Expected up.") })
    .nullable()
    .describe("BGP sessions; null where there is no BIRD to watch."),
  certificates: z.array(ExpiringCertificate).describe("When the host's credentials end."),
  agent_version: z.string().describe("Version of the agent."),
});
export type HostBrief = z.infer<typeof HostBrief>;

/** A host with a sample that is older goes out whole, for a person to see how old. */
const FRESH_MS = 30_000;
const SKEW_MS = 2_000;
const DISK_SHARE = 0.8;

/** The brief of a host with nothing to say; null for any other. */
export function briefOf(view: HostView, now_ms: number): HostBrief | null {
  const { record, convergence, heard_at, bgp, health } = view;
  if (view.silent || convergence === null || heard_at === null || record.state !== "enrolled") return null;
  if (record.quarantined != null) return null;
  const skew_ms = view.clock_skew_ms ?? 0;
  const is_old = ({ at }: { readonly at: number }) => now_ms + skew_ms - at > FRESH_MS;
  const quiet =
    !is_old(convergence) &&
    convergence.state === "converged" &&
    convergence.error === null &&
    convergence.detail === "" &&
    convergence.undo_at === null &&
    convergence.drained == null &&
    convergence.troubles.length + convergence.drift.length + convergence.held.length === 0 &&
    convergence.certificates.length > 0 &&
    Math.abs(skew_ms) < SKEW_MS;
  const sound =
    health === null ||
    (!is_old(health) &&
      machineFaults(health).length === 0 &&
      health.disks.every((disk) => disk.used_bytes < disk.size_bytes * DISK_SHARE));
  if (!quiet || !sound) return null;
  if (view.faults?.some((each) => each.faults.length > 0 || isBlind(each, now_ms)) === true) return null;
  if (bgp === null) {
    if ((convergence.resources.managed.bird ?? 0) > 0) return null;
  } else {
    const fresh = now_ms + skew_ms - Date.parse(bgp.at) < FRESH_MS;
    const well = bgp.daemon.reachable && bgp.daemon.state === "running" && bgp.faults.length === 0;
    if (!fresh || !well || bgp.sessions.some(({ verdict }) => bgpColour(verdict) === "red")) return null;
  }
  const declared = convergence.resources.managed.check ?? 0;
  if (declared > 0) {
    const checks = view.checks ?? null;
    const at = now_ms + skew_ms;
    if (checks === null || at - checks.at > FRESH_MS) return null;
    if (checks.checks.length < Math.min(declared, CHECKS_LIMIT)) return null;
    if (checks.checks.some((each) => checkColour(each, at) !== "green")) return null;
  }
  return {
    name: record.name,
    id: record.id,
    groups: record.groups,
    heard_at,
    clock_skew_ms: skew_ms,
    since: convergence.since,
    generation: convergence.generation,
    sessions: bgp === null ? null : sessionCounts(bgp),
    certificates: convergence.certificates,
    agent_version: convergence.agent_version,
  };
}
