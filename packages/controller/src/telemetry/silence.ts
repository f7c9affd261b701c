/**
 * Who fell silent and who came back, told once each, by the leader. A controller that was itself cut off does not call the fleet silent:
 * it listens first for as long as hosts take to come back.
 */
import { SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";

/** So long after we were cut off ourselves hosts may still be dialling, at a pace of their own, and slow ones take their time. */
export const SETTLING_MS = 25_000;

export type Heard = { readonly host: string; readonly heard_at: number | null };
export type Change = { readonly host: string; readonly silent: boolean; readonly heard_at: number | null };

export class Silence {
  readonly #silent = new Set<string>();
  #listening_since: number | null = null;
  #settled = false;

  /** We hear from now on (connected), or not at all (null). */
  listening(since_ms: number | null): void {
    this.#listening_since = since_ms;
  }

  /** Our clock was set, so that since when we listen is not known by it any more; or we stood still, and have not heard what was said meanwhile. */
  listenAnew(now_ms: number): void {
    if (this.#listening_since !== null) this.#listening_since = now_ms;
  }

  /** `deaf` while we hear nothing, `settling` while hosts may still be on their way. */
  hearing(now_ms: number): "well" | "settling" | "deaf" {
    if (this.#listening_since === null) return "deaf";
    return now_ms - this.#listening_since <= SETTLING_MS ? "settling" : "well";
  }

  /** What changed. The first look after the start only learns who is silent: that was told by the controller before us. */
  look(hosts: Iterable<Heard>, now_ms: number): Change[] {
    if (this.#listening_since === null) return [];
    const changes: Change[] = [];
    const patient = this.hearing(now_ms) === "settling";
    const known = new Set<string>();
    for (const { host, heard_at } of hosts) {
      known.add(host);
      const silent = heard_at === null || now_ms - heard_at > SILENT_AFTER_MS;
      if (silent === this.#silent.has(host)) continue;
      if (silent && this.#settled && patient) continue;
      // A host that never spoke has not fallen silent: it has not begun.
      if (silent && heard_at === null) continue;
      if (silent) this.#silent.add(host);
      else this.#silent.delete(host);
      if (this.#settled) changes.push({ host, silent, heard_at });
    }
    for (const host of this.#silent) if (!known.has(host)) this.#silent.delete(host);
    this.#settled = true;
    return changes;
  }
}
