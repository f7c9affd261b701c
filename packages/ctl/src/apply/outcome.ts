/**
 * What became of each host of a rollout, from what hosts say of themselves and what the controller says of the rollout. Pure: the watcher
 * feeds it and asks whether it is over.
 */

import type { Rollout } from "@muster/protocol/record";
import type { Release } from "@muster/protocol/release";
import type { Convergence } from "@muster/protocol/telemetry/convergence";

export type HostOutcome =
  | "waiting"
  | "under way"
  | "converged"
  | "undone"
  | "failed"
  | "refused"
  | "returned"
  | "silent"
  | "not begun";

export type Progress = {
  readonly outcome: HostOutcome;
  /** In the host's own words; empty when all is well. */
  readonly detail: string;
  /** Code of the closed table, when the host gave one. */
  readonly error: string | null;
  /** Since the order, milliseconds by our clock. */
  readonly after_ms: number;
};

const OVER: ReadonlySet<HostOutcome> = new Set([
  "converged",
  "undone",
  "failed",
  "refused",
  "returned",
  "silent",
  "not begun",
]);
const ENDS = ["undone", "failed", "refused", "returned"] as const;

/** As much of a host's word as tells an old one from a new one. */
export type Said = Pick<Convergence, "state" | "since" | "detail">;
type Word = Pick<
  Convergence,
  "state" | "since" | "generation" | "content_hash" | "release" | "detail" | "error" | "at"
>;

export class Outcomes {
  readonly #release: Pick<Release, "id" | "generation" | "hosts">;
  /** The last word of each host from before the order: an old failure is not this one's. */
  readonly #before: ReadonlyMap<string, Said>;
  readonly #hosts = new Map<string, Progress>();

  constructor(release: Pick<Release, "id" | "generation" | "hosts">, before: ReadonlyMap<string, Said>) {
    this.#release = release;
    this.#before = before;
    for (const name of Object.keys(release.hosts))
      this.#hosts.set(name, { outcome: "waiting", detail: "", error: null, after_ms: 0 });
  }

  get hosts(): ReadonlyMap<string, Progress> {
    return this.#hosts;
  }

  get over(): boolean {
    for (const { outcome } of this.#hosts.values()) if (!OVER.has(outcome)) return false;
    return true;
  }

  /** A word of a host; true when it changes what is known. */
  heard(name: string, said: Word, after_ms: number): boolean {
    const known = this.#hosts.get(name);
    const wanted = this.#release.hosts[name];
    if (known === undefined || wanted === undefined) return false;
    const outcome = this.#outcomeOf(name, said, wanted.content_hash);
    if (outcome === null || outcome === known.outcome || known.outcome === "converged") return false;
    const told = outcome === "converged" || outcome === "under way" ? "" : said.detail;
    this.#hosts.set(name, { outcome, detail: told, error: told === "" ? null : said.error, after_ms });
    return true;
  }

  #outcomeOf(name: string, said: Word, wanted: string): HostOutcome | null {
    const { generation, id } = this.#release;
    const ours = said.release === id || said.generation === generation;
    const reached =
      said.generation !== null && (said.generation > generation || (ours && said.content_hash === wanted));
    if (said.state === "converged") return reached ? "converged" : null;
    if (said.state === "applying" || said.state === "unconfirmed") return ours ? "under way" : null;
    const end = ENDS.find((state) => state === said.state);
    if (end === undefined) return null;
    // What was refused or undone is not the newest accepted: the number is then the old one, and only news tells.
    const before = this.#before.get(name);
    const news =
      before === undefined ||
      before.state !== said.state ||
      before.since !== said.since ||
      before.detail !== said.detail;
    return news && (ours || end === "refused" || end === "undone") ? end : null;
  }

  /** What the controller says of the rollout: it settles who was silent and who was never begun. */
  told(rollout: Pick<Rollout, "state" | "hosts" | "detail">, after_ms: number): void {
    for (const [name, known] of this.#hosts) {
      if (OVER.has(known.outcome)) continue;
      const host = rollout.hosts[name];
      if (host === undefined) continue;
      const settle = (outcome: HostOutcome) =>
        this.#hosts.set(name, { outcome, detail: host.detail || rollout.detail, error: null, after_ms });
      if (host.state === "converged")
        this.#hosts.set(name, { outcome: "converged", detail: "", error: null, after_ms });
      else if (host.state === "failed" || host.state === "silent" || host.state === "returned")
        settle(host.state);
      // Its manifest is out: what becomes of it the host says, also after the rollout has stopped.
      else if (host.state === "published") this.#hosts.set(name, { ...known, outcome: "under way" });
      else if (rollout.state !== "running") settle("not begun");
    }
  }
}

/** 0 all done, 1 nothing of it, 4 some of it, 5 nobody answered. */
export function exitOf(outcomes: Iterable<HostOutcome>): 0 | 1 | 4 | 5 {
  const all = [...outcomes];
  const done = all.filter((outcome) => outcome === "converged").length;
  if (done === all.length) return 0;
  if (all.length > 0 && all.every((outcome) => outcome === "silent")) return 5;
  return done > 0 ? 4 : 1;
}
