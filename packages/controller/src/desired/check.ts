/** Whether a release may be ordered: what it says in itself, and against what is staged, enrolled and running. Pure. */
import type { HostRecord, Release } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { RolloutState } from "../rollout/state.ts";
import type { Staged } from "./stage.ts";

const SHOWN = 10;

/** What the release says in itself. Errors: WRONG_TARGET, INVALID. */
export function checkRelease(release: Release, rollout: string, fleet: string, now_ms: number): void {
  if (release.id !== rollout || release.fleet !== fleet)
    throw new FleetError("WRONG_TARGET", `the release is rollout ${release.id} of ${release.fleet}`);
  if (now_ms > release.not_after)
    throw new FleetError("INVALID", `the release lapsed at ${new Date(release.not_after).toISOString()}`);
  const hosts = Object.keys(release.hosts);
  const seen = new Set<string>();
  for (const name of release.waves.flat()) {
    if (!Object.hasOwn(release.hosts, name))
      throw new FleetError("INVALID", `release: ${name} is in a wave and not among its hosts`);
    if (seen.has(name)) throw new FleetError("INVALID", `release: ${name} is in the waves twice`);
    seen.add(name);
  }
  const without = hosts.filter((name) => !seen.has(name));
  if (without.length > 0) throw new FleetError("INVALID", `release: in no wave: ${list(without)}`);
}

/** Every host is enrolled under the id that the release names, and its manifest staged as the release says. Errors: WRONG_TARGET, INVALID. */
export function checkHosts(
  release: Release,
  recordOf: (name: string) => HostRecord | undefined,
  stagedOf: (name: string) => Staged | null | undefined,
): void {
  const missing: string[] = [];
  const other: string[] = [];
  for (const [name, wanted] of Object.entries(release.hosts)) {
    const record = recordOf(name);
    if (record === undefined || record.state !== "enrolled" || record.id !== wanted.id)
      throw new FleetError("WRONG_TARGET", `${name} is not enrolled with the key that the release names`);
    const staged = stagedOf(name) ?? null;
    if (staged === null) missing.push(name);
    else if (
      staged.host !== name ||
      staged.content_hash !== wanted.content_hash ||
      staged.return_to !== wanted.return_to ||
      staged.generation !== release.generation
    )
      other.push(name);
  }
  if (missing.length > 0) throw new FleetError("INVALID", `no manifest is staged for ${list(missing)}`);
  if (other.length > 0)
    throw new FleetError("INVALID", `what is staged is not what the release names: ${list(other)}`);
}

/** No running rollout touches the same hosts. Errors: ROLLOUT_BUSY, naming it. */
export function checkFree(release: Release, running: readonly RolloutState[]): void {
  for (const other of running) {
    const common = Object.keys(release.hosts).filter((name) => Object.hasOwn(other.hosts, name));
    if (other.state === "running" && common.length > 0)
      throw new FleetError("ROLLOUT_BUSY", `generation ${other.generation} by ${other.by}: ${list(common)}`);
  }
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).join(", ");
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown;
}
