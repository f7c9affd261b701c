/**
 * The loop of the agent: woken by a bell or a timer, takes no input from either. Reads the newest verified manifest, looks at the host, plans,
 * applies, confirms, reports. Restart, lost message and happy path are this one path.
 */
import type { Log } from "@muster/ports/log";
import type { Convergence, Manifest, Plan } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { ManifestContent } from "@muster/protocol/manifest";
import { type Applied, applyRound } from "./apply.ts";
import { fetchAll, forgetOthers, missingHere } from "./contents.ts";
import { admission, admits, overwriteLeft } from "./decide.ts";
import { shownDrain, untilOverdue } from "./drain.ts";
import type { Events } from "./events.ts";
import type { GuardedDoor } from "./guarded.ts";
import { type Hold, holdsInForce, readLocalHolds, shownHolds, untilHoldEnds } from "./holds.ts";
import type { Accepted, Ledger } from "./ledger.ts";
import { News } from "./news.ts";
import type { ChunkSource } from "./ports/blobs.ts";
import type { Ports } from "./ports/index.ts";
import { kindOf } from "./resources/index.ts";
import { type LookOptions, look, type Round } from "./round.ts";
import type { Standing } from "./standing.ts";
import { summarise } from "./summary.ts";
import { Bell, jittered } from "./wait.ts";

export type ReconcileDoor = {
  readonly ledger: Ledger;
  readonly ports: Ports;
  readonly guarded: GuardedDoor;
  readonly events: Events;
  readonly standing: Standing;
  readonly holds_file: string;
  readonly observe_period_ms: number;
  readonly log: Log;
  /** Where file contents are fetched from. */
  readonly chunk: ChunkSource;
  /** Told each round what content is in force. */
  stands(content: ManifestContent): void;
  /** In words, what is watched beside the kind's own while a change is unconfirmed. */
  watched(): readonly string[];
};

export class Reconciler {
  readonly bell = new Bell();
  readonly #door: ReconcileDoor;
  #watching: { key: string; stop: AbortController } | null = null;
  #refusal: FleetError | null = null;
  /** What the newest generation waits for before it can come into force. */
  #unfetched: Partial<Convergence> | null = null;
  /** Whether manifests came or went since contents were last sorted out. */
  #sorted = false;
  readonly #news: News;
  #troubled = new Map<string, number>();
  /** In force at the last look: what they kept is due when they end. */
  #held: readonly Hold[] = [];
  /** What was wrong with those made on the host, told once; null = nothing. */
  #holds_damage: string | null = null;
  readonly #spec_hashes = new WeakMap<object, string>();
  /** What a plan was asked for last: as a rule its manifest comes a moment later. */
  #shown: WeakRef<Pick<Manifest, "content" | "content_hash">> | null = null;
  /** The overdue drain that was told, by its time. */
  #overdue: number | null = null;

  constructor(door: ReconcileDoor) {
    this.#door = door;
    this.#news = new News(door.events);
  }

  /** A manifest was refused before it got into the ledger: shown until a newer one is accepted. */
  refuse(error: FleetError | null): void {
    this.#refusal = error;
    this.#unfetched = null;
    if (error !== null) {
      this.#door.events.tell({ kind: "refusal", severity: "error", what: `refused: ${error.message}` });
      this.#door.standing.converge(
        { state: "refused", detail: error.message, error: error.code },
        { anew: true },
      );
    }
  }

  /** Runs until the signal aborts. A FleetError of one round is told and the next round tries again; anything else ends the program. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#round(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FleetError)) throw error;
        this.#door.log.error({ err: error }, "a round failed");
        this.#door.standing.converge({ state: "failed", detail: error.message, error: error.code });
      }
      const period_ms = jittered(this.#door.observe_period_ms, 0.1);
      const now_ms = this.#door.ports.now();
      this.#tellOverdue(now_ms);
      const next_ms = Math.min(
        period_ms,
        untilHoldEnds(this.#held, now_ms),
        untilOverdue(this.#door.ports.drain(), now_ms),
      );
      await this.bell.rung(next_ms, signal);
    }
  }

  /** What would be done for this content, against what is there now. */
  async preview(
    wanted: Pick<Manifest, "content" | "content_hash">,
    overwrite: readonly string[],
    signal: AbortSignal,
  ): Promise<Plan> {
    const { content, content_hash } = wanted;
    this.#shown = new WeakRef(wanted);
    return (await this.#look(content, content_hash, overwrite, "all", signal)).plan;
  }

  /** The content of that hash, when it is the one that a plan was asked for last. */
  shown(content_hash: string): ManifestContent | null {
    const shown = this.#shown?.deref();
    return shown?.content_hash === content_hash ? shown.content : null;
  }

  async #look(
    content: ManifestContent,
    content_hash: string,
    overwrite: readonly string[],
    seen: LookOptions["seen"],
    signal: AbortSignal,
  ): Promise<Round> {
    const { ledger, ports, standing } = this.#door;
    const options = {
      host: standing.now.host ?? "unknown",
      content_hash,
      spec_hashes: this.#spec_hashes,
      seen,
      state: ledger.state,
      holds: await this.holds(),
      overwrite,
      also: this.#door.watched(),
    };
    return look(content, options, ports, signal);
  }

  /** Those in force now. */
  async holds(): Promise<readonly Hold[]> {
    const { ledger, ports, holds_file, events } = this.#door;
    const { holds, damaged } = await readLocalHolds(holds_file);
    if (damaged !== null && damaged !== this.#holds_damage) {
      const what = `the holds that were made on this host were damaged, those of the version before hold: ${damaged}`;
      events.tell({ kind: "convergence", severity: "error", what });
    }
    this.#holds_damage = damaged;
    this.#held = holdsInForce(holds, ledger.state.switches, ports.now());
    return this.#held;
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { ledger, standing } = this.#door;
    const { accepted } = ledger.state;
    const admitted = accepted === null || accepted.admitted ? null : await this.#admit(accepted, signal);
    const current = ledger.state.in_force;
    if (admitted === null) await this.holds();
    const holds = shownHolds(this.#held);
    if (current === null) {
      const state = this.#refusal === null ? "watched" : "refused";
      standing.converge({ state, generation: null, ...this.#unfetched, held: holds, drained: null });
      return this.#sort();
    }
    const manifest = await ledger.manifest(current);
    const { content, content_hash, returned } = await this.#content(manifest);
    this.#door.stands(content);
    this.#watch(content, signal);
    if (admitted === null)
      await this.#fetch(content, signal).catch((error: unknown) => {
        if (!(error instanceof FleetError)) throw error;
        // Only a resource that needs it now fails over it, and says so.
        this.#door.log.warn({ err: error }, "content that is in force is not here");
      });
    const overwrite = overwriteLeft(manifest, ledger.state);
    const round = admitted ?? (await this.#look(content, content_hash, overwrite, "corrected", signal));
    const applied = await this.#apply(round, manifest, overwrite, signal);
    this.#news.tell(round, applied, manifest);
    const summary = summarise(round, applied, manifest, {
      since: (ref) => this.#since(ref),
      returned_generation: returned,
    });
    this.#forget(summary.troubles ?? []);
    const failed = (summary.troubles ?? []).map(({ ref }) => ref);
    const drained = shownDrain(this.#door.ports.drain(), round, failed);
    standing.converge({ ...this.#overlay(summary), held: holds, drained, undo_at: null });
    await this.#sort();
  }

  /** Contents that nothing needs any more go, once the host is as it should be. */
  async #sort(): Promise<void> {
    if (!this.#sorted) await forgetOthers(this.#door.ledger, this.#door.ports.blobs);
    this.#sorted = true;
  }

  /** The content in force: the manifest's own, or the one to which the controller sent this host back. */
  async #content(
    manifest: Manifest,
  ): Promise<{ content: ManifestContent; content_hash: string; returned: number | null }> {
    const { ledger } = this.#door;
    const { returned_to } = ledger.state;
    const { content, content_hash } = manifest;
    if (returned_to === null) return { content, content_hash, returned: null };
    const older = await ledger.byContent(returned_to);
    if (older === null)
      throw new FleetError(
        "NOT_FOUND",
        `the content ${returned_to.slice(0, 12)} to return to is not kept here`,
      );
    return { content: older.content, content_hash: returned_to, returned: older.generation };
  }

  /**
   * Before a new generation comes into force: is its plan the one that was shown, and can it be had here at all? Gives what it saw of the host, to be
   * applied at once; null when that has gone by, or it does not come into force.
   */
  async #admit(accepted: Accepted, signal: AbortSignal): Promise<Round | null> {
    const { events } = this.#door;
    const manifest = await this.#door.ledger.manifest(accepted);
    const { content, content_hash, intent } = manifest;
    const round = await this.#look(content, content_hash, intent.overwrite, "corrected", signal);
    try {
      admits(manifest, round.plan);
      const [wrong] = round.planned.refused;
      if (wrong !== undefined) throw new FleetError(wrong.error.code, `${wrong.ref}: ${wrong.error.detail}`);
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!(await this.#conclude(accepted, "refused"))) return null;
      this.refuse(new FleetError(error.code, `generation ${accepted.generation}: ${error.detail}`));
      return null;
    }
    const fetched = await this.#fetchFor(manifest, signal);
    if (fetched === "not") return null;
    if (!(await this.#conclude(accepted, "good"))) return null;
    this.#refusal = null;
    if (accepted.kit) {
      events.tell({
        kind: "kit",
        severity: "error",
        what: `generation ${accepted.generation} was signed with the recovery kit by ${accepted.by}`,
        by: accepted.by,
      });
    }
    return fetched === "here" ? round : null;
  }

  /** Has every content that the manifest needs on this host; `not` when it must wait for one, and the next round tries again. */
  async #fetchFor(manifest: Manifest, signal: AbortSignal): Promise<"here" | "fetched" | "not"> {
    const { generation, content_hash, release } = manifest;
    const ours = { generation, content_hash, release: release.id };
    let all_here = true;
    try {
      await this.#fetch(manifest.content, signal, (count) => {
        all_here = false;
        this.#door.standing.converge({
          ...ours,
          state: "applying",
          detail: `fetching ${count} files`,
          error: null,
        });
      });
      this.#unfetched = null;
      return all_here ? "here" : "fetched";
    } catch (error) {
      if (!(error instanceof FleetError) || signal.aborted) throw error;
      const detail = `generation ${generation} waits: ${error.message}`;
      this.#unfetched = { ...ours, state: "failed", detail, error: error.code };
      return "not";
    }
  }

  async #fetch(
    content: ManifestContent,
    signal: AbortSignal,
    begin?: (count: number) => void,
  ): Promise<void> {
    const { blobs } = this.#door.ports;
    const missing = await missingHere(content, blobs);
    if (missing.length === 0) return;
    begin?.(missing.length);
    await fetchAll(missing, blobs, this.#door.chunk, signal);
  }

  /** Keeps the verdict; false when a newer one was accepted meanwhile, which the next round judges. */
  async #conclude(judged: Accepted, verdict: "good" | "refused"): Promise<boolean> {
    let still = false;
    await this.#door.ledger.update((state) => {
      const change = admission(state, judged, verdict);
      still = change !== null;
      return change ?? {};
    });
    if (!still) this.bell.ring();
    this.#sorted = false;
    return still;
  }

  async #apply(
    round: Round,
    manifest: Manifest,
    overwrite: readonly string[],
    signal: AbortSignal,
  ): Promise<Applied> {
    const { ledger, ports, guarded, standing } = this.#door;
    if (round.plan.steps.length > 0) {
      standing.converge({
        state: "applying",
        generation: manifest.generation,
        content_hash: round.plan.content_hash,
        release: manifest.release.id,
        detail: `${round.plan.steps.length} steps`,
        error: null,
      });
    }
    const { generation, intent } = manifest;
    return applyRound(
      round,
      { generation, within_ms: intent.within_ms, overwrite, ledger, ports, guarded },
      signal,
    );
  }

  #overlay(summary: Partial<Convergence>): Partial<Convergence> {
    const refusal = this.#refusal;
    if (this.#unfetched !== null) return { ...summary, ...this.#unfetched };
    return refusal === null
      ? summary
      : { ...summary, state: "refused", detail: refusal.message, error: refusal.code };
  }

  /** A drain that was meant to be over is told once. */
  #tellOverdue(now_ms: number): void {
    const drain = this.#door.ports.drain();
    if (drain?.until == null || drain.until > now_ms || this.#overdue === drain.at) return;
    this.#overdue = drain.at;
    this.#door.events.tell({
      kind: "drain",
      severity: "error",
      what: `still drained, and was meant to be back by now: ${drain.why}`,
      by: drain.by,
    });
  }

  /** Since when a resource is in trouble; now, when it was not a round ago. */
  #since(ref: string): number {
    const since = this.#troubled.get(ref) ?? this.#door.ports.now();
    this.#troubled.set(ref, since);
    return since;
  }

  #forget(troubles: readonly { ref: string }[]): void {
    const refs = new Set(troubles.map(({ ref }) => ref));
    for (const ref of this.#troubled.keys()) if (!refs.has(ref)) this.#troubled.delete(ref);
  }

  /** Watches the paths of what is declared; a change rings the bell. */
  #watch(content: ManifestContent, signal: AbortSignal): void {
    const paths = [
      ...new Set(content.resources.flatMap((resource) => [...kindOf(resource).watch(resource)])),
    ].sort();
    const in_docker = content.resources.filter((each) => kindOf(each).in_docker).map(({ name }) => name);
    const units = content.resources.flatMap((each) => kindOf(each).units?.(each) ?? []);
    const key = [...paths, ...in_docker, ...units].join("\n");
    if (this.#watching?.key === key) return;
    this.#watching?.stop.abort();
    const stop = new AbortController();
    this.#watching = { key, stop };
    const life = AbortSignal.any([signal, stop.signal]);
    if (in_docker.length > 0)
      this.#door.ports.docker.follow(new Set(in_docker), () => this.bell.ring(), life);
    const on = (what: string) => ({
      changed: () => this.bell.ring(),
      failed: (error: FleetError) =>
        this.#door.log.warn({ err: error }, `${what} cannot be watched; the timer still looks`),
    });
    if (units.length > 0 && this.#door.ports.confined === null)
      this.#door.ports.systemd.follow(units, on("units"), life);
    this.#door.ports.files.watch(paths, on("paths"), life);
  }
}
