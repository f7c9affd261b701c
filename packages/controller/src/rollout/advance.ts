/**
 * The state machine of a rollout: from its state and what is known of the hosts to the next state and whose manifest goes out now. Pure;
 * called at every word of a host and at `wake_at`, and never waits for anything itself.
 *
 * A wave is over when each of its hosts has converged, failed, was returned, or was silent from the start (verdict.ts); the rollout stops
 * when more hosts failed than the gate allows, or when a wave takes longer than the gate's time. A host that falls silent *after* its
 * manifest went out holds the wave until then: that may be the change's own doing.
 */
import type { Release } from "@muster/protocol";
import type { HostState, RolloutState } from "./state.ts";
import { type HostFact, isSilent, passedOverAt, verdict } from "./verdict.ts";

export type Advance = {
  readonly state: RolloutState;
  /** Hosts whose manifests go out now. */
  readonly publish: readonly string[];
  /** What happened, for the fleet's events. */
  readonly notes: readonly { readonly severity: "info" | "warning" | "error"; readonly what: string }[];
  /** When to look again without any word, milliseconds since 1970; null when it has ended. */
  readonly wake_at: number | null;
};

type Known = (host: string) => HostFact;
type Draft = {
  /** As it came: nothing of it is written to. */
  readonly before: RolloutState;
  state: RolloutState;
  readonly publish: string[];
  readonly notes: { severity: "info" | "warning" | "error"; what: string }[];
};

const OVER = new Set(["converged", "failed", "silent", "returned"]);
const NAMES_SHOWN = 20;

/** The state comes back as the same object when nothing has changed. */
export function advance(state: RolloutState, release: Release, known: Known, now_ms: number): Advance {
  const draft: Draft = { before: state, state, publish: [], notes: [] };
  if (state.state === "running") {
    judgeHosts(draft, release, known, now_ms);
    checkGate(draft, release, known, now_ms);
    while (draft.state.state === "running" && waveIsOver(draft.state)) nextWave(draft, now_ms);
    if (draft.state.state === "running") publishWave(draft, release, known, now_ms);
  }
  const wake_at = draft.state.state === "running" ? wakeAt(draft.state, release, known, now_ms) : null;
  return { state: draft.state, publish: draft.publish, notes: draft.notes, wake_at };
}

/** Ends a rollout on a person's order; what is published stays published. */
export function abort(state: RolloutState, by: string, now_ms: number): RolloutState {
  if (state.state !== "running") return state;
  return { ...state, state: "aborted", ended_at: now_ms, detail: `aborted by ${by}${leftOut(state)}` };
}

function put(draft: Draft, name: string, host: HostState): void {
  if (draft.state.hosts === draft.before.hosts)
    draft.state = { ...draft.state, hosts: { ...draft.state.hosts } };
  draft.state.hosts[name] = host;
}

function judgeHosts(draft: Draft, release: Release, known: Known, now_ms: number): void {
  for (const [name, host] of Object.entries(draft.state.hosts)) {
    if (host.state === "waiting" || host.state === "converged") continue;
    const said = verdict(name, host, known(name), release, now_ms);
    if (said !== null && said.state !== host.state)
      put(draft, name, { ...host, ...said, detail: said.detail.slice(0, 2_000), at: now_ms });
  }
}

function checkGate(draft: Draft, release: Release, known: Known, now_ms: number): void {
  const failed = namesIn(draft.state, "failed");
  if (failed.length > release.gate.max_failed) {
    const detail = `${failed.length} failed, ${release.gate.max_failed} allowed: ${list(failed)}`;
    end(draft, "failed", detail, now_ms);
    return;
  }
  if (now_ms < draft.state.wave_began_at + release.gate.wave_timeout_ms) return;
  const late = waveOf(draft.state).filter((name) => draft.state.hosts[name]?.state === "published");
  if (late.length === 0 && waveIsOver(draft.state)) return;
  for (const name of late) {
    const host = draft.state.hosts[name];
    if (host === undefined) continue;
    const silent = isSilent(known(name), now_ms);
    const detail = silent ? "silent since its manifest went out" : "not converged in the wave's time";
    put(draft, name, { ...host, state: silent ? "silent" : "failed", detail, at: now_ms });
  }
  const silent = late.filter((name) => draft.state.hosts[name]?.state === "silent");
  const slow = late.filter((name) => draft.state.hosts[name]?.state === "failed");
  const who = [
    silent.length > 0 ? `silent: ${list(silent)}` : "",
    slow.length > 0 ? `not converged: ${list(slow)}` : "",
  ].filter((text) => text !== "");
  const took = `wave ${draft.state.wave + 1} not done after ${Math.round(release.gate.wave_timeout_ms / 1000)} s`;
  end(draft, "failed", [took, ...who].join("; "), now_ms);
}

function nextWave(draft: Draft, now_ms: number): void {
  const { state } = draft;
  if (state.wave + 1 < state.waves.length) {
    draft.notes.push({ severity: "info", what: `wave ${state.wave + 1} of ${state.waves.length} is done` });
    draft.state = { ...state, wave: state.wave + 1, wave_began_at: now_ms };
    return;
  }
  const short = ["failed", "silent", "returned"].flatMap((kind) => {
    const names = namesIn(state, kind);
    return names.length > 0 ? [`${kind}: ${list(names)}`] : [];
  });
  end(draft, "done", short.join("; "), now_ms);
}

function publishWave(draft: Draft, release: Release, known: Known, now_ms: number): void {
  const wave = waveOf(draft.state);
  if (now_ms > release.not_after && wave.some((name) => draft.state.hosts[name]?.state === "waiting")) {
    end(draft, "failed", `the release lapsed at ${new Date(release.not_after).toISOString()}`, now_ms);
    return;
  }
  const domains = release.never_together.map((names) => new Set(names));
  const busy = new Set(namesIn(draft.state, "published").flatMap((name) => domainsOf(name, domains)));
  for (const name of wave) {
    const host = draft.state.hosts[name];
    if (host?.state !== "waiting") continue;
    const mine = domainsOf(name, domains);
    if (mine.some((domain) => busy.has(domain))) continue;
    for (const domain of mine) busy.add(domain);
    draft.publish.push(name);
    put(draft, name, {
      ...host,
      state: "published",
      at: now_ms,
      published_at: now_ms,
      was_silent: isSilent(known(name), now_ms),
    });
  }
}

function end(draft: Draft, state: "done" | "failed", detail: string, now_ms: number): void {
  const whole = state === "failed" ? `${detail}${leftOut(draft.state)}` : detail;
  draft.state = { ...draft.state, state, ended_at: now_ms, detail: whole };
  const generation = `generation ${draft.state.generation}`;
  if (state === "failed")
    draft.notes.push({ severity: "error", what: `rollout of ${generation} stopped: ${whole}` });
  else if (detail !== "")
    draft.notes.push({ severity: "warning", what: `rollout of ${generation} is over; ${detail}` });
  else draft.notes.push({ severity: "info", what: `rollout of ${generation} is done` });
}

function wakeAt(state: RolloutState, release: Release, known: Known, now_ms: number): number {
  const times = [state.wave_began_at + release.gate.wave_timeout_ms];
  for (const name of waveOf(state)) {
    const host = state.hosts[name];
    if (host?.state !== "published" || !host.was_silent || host.published_at === null) continue;
    // One that was heard within it is at work: there is nothing to wake for any more.
    const over_at = passedOverAt(host.published_at, known(name));
    if (over_at > now_ms) times.push(over_at);
  }
  return Math.min(...times);
}

const waveOf = (state: RolloutState) => state.waves[state.wave] ?? [];
const waveIsOver = (state: RolloutState) =>
  waveOf(state).every((name) => OVER.has(state.hosts[name]?.state ?? ""));
const namesIn = (state: RolloutState, kind: string) =>
  Object.entries(state.hosts).flatMap(([name, host]) => (host.state === kind ? [name] : []));
const domainsOf = (name: string, domains: readonly ReadonlySet<string>[]) =>
  domains.filter((domain) => domain.has(name));

function leftOut(state: RolloutState): string {
  const waiting = namesIn(state, "waiting");
  return waiting.length === 0 ? "" : `; not begun: ${list(waiting)}`;
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).join(", ");
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown;
}
