/**
 * The contract of a resource kind: the same verbs for every kind, one file each, all named in `index.ts` beside this file.
 *
 *     observe ──► plan (pure) ──► [snapshot ──► undo armed] ──► apply, step by step ──► [guard ──► confirm | undo]
 *
 * - `observe` reads and changes nothing that counts (the kind `bird` keeps a candidate file for BIRD's check). It may be called at any time,
 *   as often as one likes, and for all resources of a round at once: ports gather what would else be a process a resource.
 * - `plan` and `removal` take no port, no clock and no configuration: the same input gives the same steps. The generation and the window are
 *   not in a step, since the plan that was shown must have the same index as the one that is applied later under a new number.
 * - `apply` makes no choice. A step carries hashes instead of contents (a plan must fit into one message); the content comes with the
 *   resource, and is refused when it does not fit the hash. Repeating a step that was done already does no harm, since a crash can come
 *   between doing and noting it. Steps run one at a time, in the order planned.
 *   A step that took its own change back says so with UNDONE: it is not tried again until the declaration changes.
 * - a kind that can cut the host off also has `guard`: see `Guarded`.
 */
import type { Kind, Resource, ResourceRef, Spec, Step } from "@muster/protocol";
import type { ErrorReply, FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";

/** A resource of one kind, as it stands in the manifest. */
export type Declared<K extends Kind> = Extract<Resource, { kind: K }>;

/** What `plan` and `removal` may know beside the resource and what was observed. */
export type PlanContext = {
  /** The spec that was last applied here by Muster; null when never. */
  readonly applied: unknown;
  /** Muster made it: it was not there before the first step that has `args.makes === true`. */
  readonly made: boolean;
  /** Paths that steps before this one write, what they make or install by reference (`network/NAME`), and what removals before this one take away. */
  readonly coming: ReadonlySet<string>;
  readonly going: ReadonlySet<string>;
  /** Nobody sees this plan: differences and counts for people need not be made. Steps and their arguments are the same. */
  readonly unseen?: boolean;
};

/** A service that must take note of a change. Several for one service become one step: see `planAll`. */
export type Reaction = {
  readonly verb: "reload" | "restart";
  /** The unit's name, as a `service` resource has it. */
  readonly service: string;
  readonly because: ResourceRef;
};

export type KindPlan = {
  readonly steps: readonly Step[];
  /** For the operator: such as "checked by BIRD 2.0.12 there". */
  readonly notes: readonly string[];
  readonly reactions?: readonly Reaction[];
  /** Set when it is as declared and does not work, with its own words: nothing to do, and red. */
  readonly unwell?: string;
  /** Set when the resource cannot be had on this host now, with the reason: reported as waiting, never as success. */
  readonly unsupported?: string;
  /** Set when the declaration itself is wrong for this host: nothing of the manifest may be applied. */
  readonly refused?: ErrorReply;
};

/** `left`: it is kept, and the operator is told why. */
export type RemovalPlan =
  | { readonly steps: readonly Step[]; readonly reactions?: readonly Reaction[] }
  | { readonly left: string };

/** What is no longer declared and was left, removed for good on a person's word. */
export type Prunable<K extends Kind, O> = {
  /** In words what goes, or why it stays in any case; null when nothing is there. `made`: Muster brought it. */
  plan(
    resource: Declared<K>,
    observed: O,
    made: boolean,
  ): { readonly goes: string } | { readonly left: string } | null;
  /** Removes them. Gives what failed, by name. Errors: FleetErrors that befell all of it. */
  apply(
    names: readonly string[],
    ports: Ports,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, FleetError>>;
};

/** How a hand edit is told: who and when, as far as the file system knows. */
export type Edit = { readonly what: string; readonly at_ms: number | null };

export type ApplyContext<K extends Kind> = {
  /** As it stands in the manifest that is applied; null for a removal and for a reaction of an undeclared service. */
  readonly resource: Declared<K> | null;
  /** Names versioned files. */
  readonly generation: number;
  /** The guard's window for these steps; null without one. A daemon's own timer is set a bit longer. */
  readonly window_ms: number | null;
};

export type ResourceKind<K extends Kind, O> = {
  /**
   * What is there now. Errors are FleetErrors that name path or unit; PROTECTED_PATH for what is the agent's own. Must be JSON. `unseen`: what
   * only differences for people are made of may be left out. `applied` is the spec that Muster last applied here: what is still so need not be read.
   */
  observe(
    resource: Declared<K>,
    ports: Ports,
    signal: AbortSignal,
    known?: { readonly unseen: boolean; readonly applied: Spec<K> | null },
  ): Promise<O>;
  /** The steps from observed to declared; none when they agree. */
  plan(resource: Declared<K>, observed: O, context: PlanContext): KindPlan;
  /** The steps that take the resource away, once it is no longer declared. */
  removal(resource: Declared<K>, observed: O, context: PlanContext): RemovalPlan;
  /** Of kinds whose `removal` leaves what people may want to keep: what goes when a person says so, and how. */
  readonly prune?: Prunable<K, O>;
  /** Does one step of this kind. */
  apply(step: Step, ports: Ports, signal: AbortSignal, context: ApplyContext<K>): Promise<void>;
  /** For what is dear to begin (apt) or waits for the disk (files): several resources of this kind at once, instead of `apply`. */
  readonly together?: Together<K>;
  /** It changes what the whole machine shares: an agent that is confined to a part of it reports it as unsupported. */
  readonly host_wide?: true;
  /** The managed part of what was observed, for telling a hand edit from what Muster left: hashed, never shown. */
  managed(observed: O): unknown;
  /** Who changed it by hand, as far as that can be told. */
  edit(resource: Declared<K>, observed: O): Edit;
  /** What a person should know although it is as declared, such as a run that failed; null when nothing. Told once, until it changes. */
  concern?(resource: Declared<K>, observed: O): string | null;
  /** Paths whose change wakes the loop at once. */
  watch(resource: Declared<K>): readonly string[];
  /** Units of systemd that keep no file: their beginning and end, as systemd tells it, wakes the loop too. */
  units?(resource: Declared<K>): readonly string[];
  /** Its name is one at Docker, whose events wake the loop too. */
  readonly in_docker?: true;
  /** Only for kinds that can cut the host off. */
  readonly guard?: Guarded<K, O>;
};

export type Together<K extends Kind> = {
  /**
   * With which others: `all` of the kind that need nothing which is still to be done, or those that stand `next` to one another in the plan, none of
   * which needs another.
   */
  readonly reach: "all" | "next";
  /** Whether this step may be done with others; a resource with one that may not goes through `apply`. */
  joins(step: Step, resource: Declared<K> | null): boolean;
  /** Gives what failed, by reference. Errors: FleetErrors that befell all of it. */
  apply(
    steps: readonly Step[],
    ports: Ports,
    signal: AbortSignal,
    /** As they stand in the manifest; not those that it no longer declares. */
    declared: ReadonlyMap<ResourceRef, Declared<K>>,
  ): Promise<ReadonlyMap<ResourceRef, FleetError>>;
};

/** The verdict of a guard at one moment. `failures` are sentences for the operator. */
export type GuardVerdict = { readonly good: boolean; readonly failures: readonly string[] };

/**
 * How a change is applied unconfirmed. Order of calls: `plan` → `snapshot` (kept on disk, undo armed) → steps → `check` once a second until
 * good for a while or the window ends → `confirm`, or `undo`. `undo` also runs at boot, without network and without the agent.
 */
export type Guarded<K extends Kind, O> = {
  /** What is as before once the change is taken back, in the operator's word, such as bird.conf. */
  readonly thing: string;
  /** Window and probes for these steps, from what was observed before; null when they cannot cut anybody off, and need no guard. */
  plan(
    resource: Declared<K>,
    observed: O,
    steps: readonly Step[],
  ): { window_ms: number; watches: readonly string[] } | null;
  /** All that `check`, `confirm` and `undo` need, JSON; may copy files below `directory` (root only, survives a reboot; as the host sees it). */
  snapshot(
    resource: Declared<K>,
    observed: O,
    directory: string,
    ports: Ports,
    signal: AbortSignal,
    context: ApplyContext<K>,
  ): Promise<unknown>;
  check(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<GuardVerdict>;
  /** Makes the change permanent: only now may it become what the next boot loads. May be repeated. */
  confirm(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<void>;
  /** Takes the change back; may be repeated. */
  undo(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<void>;
  /** After an undo: whether what worked before the change works again. */
  back(snapshot: unknown, ports: Ports, signal: AbortSignal): Promise<boolean>;
};

/** Shorthand for the specs. */
export type SpecOf<K extends Kind> = Spec<K>;
