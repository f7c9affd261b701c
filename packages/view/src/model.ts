/** What a live view (`ctl watch`, the dashboard) knows of the fleet, told by telemetry and events as they come. Bounded; no I/O. */

import type { RolloutBrief } from "@muster/protocol/control/rollouts";
import type { FleetEvent } from "@muster/protocol/event";
import type { Rollout } from "@muster/protocol/record";
import type { BgpSample } from "@muster/protocol/telemetry/bgp";
import type { ChecksSample } from "@muster/protocol/telemetry/checks";
import { type Convergence, SILENT_AFTER_MS } from "@muster/protocol/telemetry/convergence";
import type { Fault, KindFaults } from "@muster/protocol/telemetry/fault";
import type { Health } from "@muster/protocol/telemetry/health";
import { FAULTY_KINDS, type FaultyKind } from "@muster/protocol/telemetry/index";
import { drainsOf } from "./drained.ts";
import { type Known, notEnrolled, seenWith } from "./known.ts";

/** An event, and the host that it is about; `_` = the fleet. `late_ms`: told so long after it happened, where it had to wait for the broker. */
export type HostEvent = {
  readonly host: string;
  readonly event: FleetEvent;
  readonly late_ms?: number | undefined;
};

const EVENTS_LIMIT = 500;
/** Hosts beyond this are counted and not shown. */
export const HOSTS_LIMIT = 20_000;

export type Told =
  | { readonly kind: "convergence"; readonly sample: Convergence }
  | { readonly kind: "bgp"; readonly sample: BgpSample }
  | { readonly kind: "health"; readonly sample: Health }
  | { readonly kind: "checks"; readonly sample: ChecksSample }
  | {
      readonly kind: FaultyKind;
      readonly sample: { readonly present: boolean; readonly faults: readonly Fault[] };
    };

/** The kinds of telemetry that a live view is told of. */
export const TOLD_KINDS = ["convergence", "bgp", "health", "checks", ...FAULTY_KINDS] as const;
export const isTold = (kind: string): kind is (typeof TOLD_KINDS)[number] =>
  (TOLD_KINDS as readonly string[]).includes(kind);

export class FleetModel {
  readonly fleet: string;
  readonly person: string;
  readonly #hosts = new Map<string, Known>();
  /** Whoever is drained, chosen or not. */
  readonly #drained = new Map<string, Convergence>();
  #events: HostEvent[] = [];
  /** The newest; whole or in short, as whoever looks may know it. */
  rollout: Rollout | RolloutBrief | null = null;
  /** Since when there is no connection, by our clock; null while there is one. */
  cut_at: number | null = null;
  /** Set where hosts that were not chosen shall not appear. */
  readonly #chosen: ReadonlySet<string> | null;

  constructor(fleet: string, person: string, chosen: ReadonlySet<string> | null) {
    this.fleet = fleet;
    this.person = person;
    this.#chosen = chosen;
  }

  /** Hosts as they stand at `now_ms`: who was not heard of for a while is silent. Our own cut line makes nobody silent: nothing is known then. */
  hosts(now_ms: number): Known[] {
    const drains = drainsOf(
      [...this.#drained].map(([name, convergence]) => ({ name, convergence })),
      now_ms,
    );
    return [...this.#hosts.values()].map((host) => {
      const until_ms = this.cut_at ?? now_ms;
      const silent = host.enrolled && host.heard_at !== null && until_ms - host.heard_at > SILENT_AFTER_MS;
      if (!host.enrolled || host.heard_at === null || silent === host.silent) return seenWith(host, drains);
      // Kept, so that one that stays silent is the same from frame to frame.
      const turned = { ...host, silent };
      this.#hosts.set(host.name, turned);
      return seenWith(turned, drains);
    });
  }

  get events(): readonly HostEvent[] {
    return this.#events;
  }

  /** By how much a host's clock is ahead of the controllers'; 0 where that is not known. */
  skewOf(name: string): number {
    return this.#hosts.get(name)?.clock_skew_ms ?? 0;
  }

  /** What a controller or the hosts said at the beginning; anything heard meanwhile is newer and stays. */
  begin(
    hosts: readonly Known[],
    events: readonly HostEvent[],
    drained: readonly Pick<Known, "name" | "convergence">[] = [],
  ): void {
    for (const { name, convergence } of drained)
      if (convergence !== null && !this.#hosts.has(name)) this.#drained.set(name, convergence);
    for (const known of hosts) {
      const heard = this.#hosts.get(known.name);
      // It joined meanwhile.
      if (heard?.enrolled === true && !known.enrolled) continue;
      this.#hosts.set(
        known.name,
        heard === undefined
          ? known
          : {
              ...known,
              heard_at: heard.heard_at ?? known.heard_at,
              convergence: heard.convergence ?? known.convergence,
              bgp: heard.bgp ?? known.bgp,
              health: heard.health ?? known.health,
              health_before: heard.health === null ? null : known.health,
              checks: heard.checks ?? known.checks,
              faults: [
                ...heard.faults,
                ...known.faults.filter(({ kind }) => heard.faults.every((each) => each.kind !== kind)),
              ],
            },
      );
    }
    const told = new Set(this.#events.map(keyOf));
    this.#events = [
      ...events.filter((each) => this.#wants(each.host) && !told.has(keyOf(each))),
      ...this.#events,
    ]
      .sort((one, other) => one.event.at - other.event.at)
      .slice(-EVENTS_LIMIT);
  }

  /** The controllers know these hosts. Any other that told nothing since `since_ms` is of the fleet no more. */
  keep(names: ReadonlySet<string>, since_ms: number): void {
    for (const [name, { heard_at }] of this.#hosts)
      if (!names.has(name) && (heard_at ?? 0) < since_ms) {
        this.#hosts.delete(name);
        this.#drained.delete(name);
      }
  }

  signed(generations: ReadonlyMap<string, number>): void {
    for (const [name, signed_generation] of generations) {
      const known = this.#hosts.get(name);
      if (known !== undefined) this.#hosts.set(name, { ...known, signed_generation });
    }
  }

  /** A sample of a host; false: it is one of another machine under a name that is taken, or of none that is looked at. */
  hear(name: string, id: string, told: Told, now_ms: number): boolean {
    if (told.kind === "convergence") {
      if (told.sample.drained == null) this.#drained.delete(name);
      else if (this.#drained.size < HOSTS_LIMIT) this.#drained.set(name, told.sample);
    }
    if (!this.#wants(name)) return false;
    let known = this.#hosts.get(name);
    if (known === undefined) {
      if (this.#hosts.size >= HOSTS_LIMIT) return false;
      known = notEnrolled(name, []);
    }
    if (known.id !== null && known.id !== id) return false;
    const next = { ...known, id, enrolled: true, heard_at: now_ms, silent: false };
    if (told.kind === "convergence") {
      const { sample } = told;
      this.#hosts.set(name, {
        ...next,
        // Its clock, or ours, may have been set.
        clock_skew_ms: sample.at - now_ms,
        convergence: sample,
        agent_version: sample.agent_version,
        certificates: sample.certificates.length > 0 ? sample.certificates : known.certificates,
      });
    } else if (told.kind === "health")
      this.#hosts.set(name, { ...next, health: told.sample, health_before: known.health });
    else if (told.kind === "bgp" || told.kind === "checks")
      this.#hosts.set(name, { ...next, [told.kind]: told.sample });
    else this.#hosts.set(name, { ...next, faults: faultsWith(next.faults, told, now_ms) });
    return true;
  }

  tell(event: HostEvent): void {
    if (!this.#wants(event.host)) return;
    // Two connections of a page may both tell it for a moment.
    if (this.#events.some((before) => isSame(before, event))) return;
    // One that had to wait comes where it happened.
    const at = this.#events.findLastIndex((before) => before.event.at <= event.event.at) + 1;
    // Another list, so that whoever looks sees that there is more, wherever it stands.
    this.#events = this.#events.toSpliced(at, 0, event).slice(-EVENTS_LIMIT);
  }

  #wants(name: string): boolean {
    return this.#chosen === null || name === "_" || this.#chosen.has(name);
  }
}

/** A kind that the host has nothing of any more has nothing to say. */
function faultsWith(
  before: readonly KindFaults[],
  { kind, sample }: Extract<Told, { kind: FaultyKind }>,
  now_ms: number,
): KindFaults[] {
  const others = before.filter((each) => each.kind !== kind);
  return sample.present ? [...others, { kind, heard_at: now_ms, faults: [...sample.faults] }] : others;
}

const keyOf = ({ host, event }: HostEvent) => `${host} ${event.at} ${event.kind} ${event.what}`;
const isSame = (one: HostEvent, other: HostEvent) =>
  one.event.at === other.event.at && keyOf(one) === keyOf(other) && one.late_ms === other.late_ms;
