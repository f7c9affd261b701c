/**
 * The contract of a resource kind: the same verbs for every kind, one file each, all named in `index.ts` beside this file.
 *
 *     observe ──► plan (pure) ──► [snapshot ──► undo armed] ──► apply, step by step ──► [guard ──► confirm | undo]
 *
 * - `observe` reads and changes nothing. It may be called at any time and as often as one likes.
 * - `plan` and `removal` take no port, no clock and no configuration: the same input gives the same steps.
 * - `apply` makes no choice: all that it needs stands in the step. Repeating a step that was done already does no harm, since a crash can
 *   come between doing and noting it. It runs one at a time, in the order planned.
 * - a kind that can cut the host off also has `guard`: see `Guarded`.
 */
import type { Kind, Resource, Spec, Step } from "@muster/protocol";
import type { Ports } from "../ports/index.ts";

/** A resource of one kind, as it stands in the manifest. */
export type Declared<K extends Kind> = Extract<Resource, { kind: K }>;

/** What `plan` may know beside the resource and what was observed. */
export type PlanContext = {
  /** The generation that the manifest bears; names versioned files. */
  readonly generation: number;
  /** The spec that was last applied here by Muster; null when never. */
  readonly applied: unknown;
};

export type KindPlan = {
  readonly steps: readonly Step[];
  /** For the operator: such as "checked by BIRD 2.0.12 there". */
  readonly notes: readonly string[];
  /** Set when the resource cannot be had on this host, with the reason: reported as waiting, never as success. */
  readonly unsupported?: string;
};

/** How a hand edit is told: who and when, as far as the file system knows. */
export type Edit = { readonly what: string; readonly at_ms: number | null };

export type ResourceKind<K extends Kind, O> = {
  /** What is there now. Errors are FleetErrors that name path or unit. Must be JSON. */
  observe(resource: Declared<K>, ports: Ports, signal: AbortSignal): Promise<O>;
  /** The steps from observed to declared; none when they agree. */
  plan(resource: Declared<K>, observed: O, context: PlanContext): KindPlan;
  /** The steps that take the resource away, once it is no longer declared; null = it is kept, and said so. */
  removal(resource: Declared<K>, observed: O, context: PlanContext): readonly Step[] | null;
  /** Does one step of this kind. */
  apply(step: Step, ports: Ports, signal: AbortSignal): Promise<void>;
  /** The managed part of what was observed, for telling a hand edit from what Muster left: hashed, never shown. */
  managed(observed: O): unknown;
  /** Who changed it by hand, as far as that can be told. */
  edit(resource: Declared<K>, observed: O): Edit;
  /** Paths whose change wakes the loop at once. */
  watch(resource: Declared<K>): readonly string[];
  /** Only for kinds that can cut the host off. */
  readonly guard?: Guarded<K, O>;
};

/** The verdict of a guard at one moment. `failures` are sentences for the operator. */
export type GuardVerdict = { readonly good: boolean; readonly failures: readonly string[] };

/**
 * How a change is applied unconfirmed. Order of calls: `plan` → `snapshot` (kept on disk, undo armed) → steps → `check` once a second until
 * good for a while or the window ends → `confirm`, or `undo`. `undo` also runs at boot, without network and without the agent.
 */
export type Guarded<K extends Kind, O> = {
  /** Window and probes for these steps; from what was observed before. */
  plan(
    resource: Declared<K>,
    observed: O,
    steps: readonly Step[],
  ): { window_ms: number; watches: readonly string[] };
  /** All that `undo` and `check` need, JSON; may copy files below `directory` (root only, survives a reboot). */
  snapshot(
    resource: Declared<K>,
    observed: O,
    directory: string,
    ports: Ports,
    signal: AbortSignal,
  ): Promise<unknown>;
  check(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<GuardVerdict>;
  /** Makes the change permanent: only now may it become what the next boot loads. */
  confirm(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<void>;
  /** Takes the change back; may be repeated. */
  undo(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<void>;
};

/** Shorthand for the specs. */
export type SpecOf<K extends Kind> = Spec<K>;
