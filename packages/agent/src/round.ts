/**
 * One look at the host against a content: observe everything, decide about each resource, plan. Changes nothing. The same function serves
 * the loop, the RPC `plan` and the operator's eye, so that what was shown is what is applied.
 */
import type { ManifestContent, Plan, Resource, Step } from "@muster/protocol";
import { contentHash } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { planIndex } from "@muster/protocol/plan";
import { refOf } from "@muster/protocol/resources/index";
import { type Decision, decide } from "./decide.ts";
import { type Hold, heldWhy } from "./holds.ts";
import type { LedgerState } from "./ledger.ts";
import type { Ports } from "./ports/index.ts";
import { kindOf } from "./resources/index.ts";
import { type PlanEntry, type PlannedAll, planAll } from "./resources/plan-all.ts";

/** One declared resource, looked at. */
export type Looked = {
  readonly ref: string;
  readonly resource: Resource;
  readonly observed: PlanEntry["observed"];
  readonly spec_hash: string;
  /** Of its managed part; null when it could not be observed. Made when asked for: what is as declared needs none. */
  readonly managed_hash: string | null;
  readonly differs: boolean;
  readonly decision: Decision;
  readonly edited_at: number | null;
  /** Who changed it by hand, in words; empty when it does not differ. */
  readonly edited_what: string;
  /** As declared, and yet a person should know; null when nothing. */
  readonly concern: string | null;
};

export type Round = {
  readonly content: ManifestContent;
  readonly looked: readonly Looked[];
  readonly planned: PlannedAll;
  readonly plan: Plan;
  readonly guards: ReadonlyMap<string, { readonly window_ms: number; readonly watches: readonly string[] }>;
};

export type LookOptions = {
  readonly host: string;
  /** That of the content. */
  readonly content_hash: string;
  /** Hashes of what resources ask for, from round to round. */
  readonly spec_hashes: WeakMap<object, string>;
  /** `all`: a person sees the plan. `corrected`: of the differences only those that are put back are told. */
  readonly seen: "all" | "corrected";
  readonly state: LedgerState;
  readonly holds: readonly Hold[];
  readonly overwrite: readonly string[];
  /** In words, what else is watched while a change is unconfirmed. */
  readonly also: readonly string[];
};

export async function look(
  content: ManifestContent,
  options: LookOptions,
  ports: Ports,
  signal: AbortSignal,
): Promise<Round> {
  const { state, holds, content_hash } = options;
  const unseen = options.seen !== "all";
  const declared = new Set(content.resources.map(refOf));
  const gone = Object.entries(state.resources).filter(([ref]) => !declared.has(ref));
  const [looked, removed] = await Promise.all([
    Promise.all(
      content.resources.map(async (resource) => {
        const looked = await lookAt(resource, options, unseen, ports, signal);
        // What is put back is told with its difference.
        const told = unseen && looked.decision.action === "correct";
        return told ? lookAt(resource, options, false, ports, signal) : looked;
      }),
    ),
    Promise.all(
      gone.map(
        async ([ref, entry]): Promise<PlanEntry> => ({
          resource: entry.resource,
          observed: await observe(entry.resource, ports, signal, { unseen, applied: entry.resource.spec }),
          applied: entry.resource.spec,
          made: entry.made,
          kept: heldWhy(holds, ref),
          unseen,
        }),
      ),
    ),
  ]);
  const planned = planAll({
    // What only the host changed and is left to people waits for nobody, and nobody waits for it.
    declared: looked
      .filter(({ decision }) => decision.action !== "leave")
      .map((each) => ({
        ...entryOf(each, state),
        unseen: unseen && each.decision.action !== "correct",
      })),
    removed,
    owed: state.owed,
  });
  const guards = guardsOf(looked, removed, planned.steps);
  const kept = new Map(
    looked.flatMap(({ ref, decision }) =>
      decision.action === "keep" ? [[ref, decision.error] as const] : [],
    ),
  );
  // What somebody edited here is not to be replaced unseen: nothing is sent until the person says so.
  const refused = [
    ...planned.refused,
    ...looked.flatMap(({ ref, decision }) =>
      decision.action === "keep" && decision.error === "OVERWRITE"
        ? [{ ref, error: { code: decision.error, detail: decision.why } }]
        : [],
    ),
  ];
  const plan: Plan = {
    host: options.host,
    content_hash,
    index: planIndex({ content_hash, steps: [...planned.steps] }),
    ...(refused.length > 0 ? { refused } : {}),
    steps: [...planned.steps],
    waiting: planned.waiting.map((each) => ({ ...each, error: kept.get(each.ref) ?? "UNSUPPORTED" })),
    drift: looked.flatMap(({ ref, decision, edited_at }) =>
      decision.action === "leave"
        ? [{ ref, what: decision.why.slice(0, 2_000), since: edited_at, action: decision.drift }]
        : [],
    ),
    left: planned.left,
    notes: [...planned.notes],
    guard:
      guards.size === 0
        ? null
        : {
            window_ms: Math.max(...[...guards.values()].map(({ window_ms }) => window_ms)),
            sessions: [...guards.values()].flatMap(({ watches }) => watches),
            also: [...options.also],
          },
  };
  return { content, looked, planned, plan, guards };
}

async function lookAt(
  resource: Resource,
  options: LookOptions,
  unseen: boolean,
  ports: Ports,
  signal: AbortSignal,
): Promise<Looked> {
  const { state, holds } = options;
  const ref = refOf(resource);
  const kind = kindOf(resource);
  const entry = state.resources[ref];
  const applied = entry?.resource.spec ?? null;
  const observed = await observe(resource, ports, signal, { unseen, applied });
  // A thrown switch is part of what is asked for: a drain is a change of its own, and each throw a new try.
  const drain = resource.kind === "bird" ? ports.drain() : null;
  const spec_hash =
    drain === null
      ? hashOfSpec(resource.spec, options.spec_hashes)
      : contentHash({ spec: resource.spec, drained_at: drain.at });
  const managedHash = () => ("value" in observed ? hashOfManaged(resource, observed.value) : null);
  let differs = true;
  let edit: { what: string; at_ms: number | null } = { what: "", at_ms: null };
  let concern: string | null = null;
  if ("value" in observed) {
    const context = {
      applied,
      made: entry?.made ?? false,
      coming: new Set<string>(),
      going: new Set<string>(),
      unseen: true,
    };
    const own = kind.plan(resource, observed.value, context);
    differs = own.steps.length > 0 || own.refused !== undefined || own.unsupported !== undefined;
    if (differs) edit = kind.edit(resource, observed.value);
    concern = kind.concern?.(resource, observed.value) ?? null;
  }
  const decision: Decision =
    "value" in observed
      ? decide({
          resource,
          spec_hash,
          differs,
          get managed_hash() {
            return managedHash();
          },
          entry,
          undone: state.undone[ref],
          held: heldWhy(holds, ref),
          overwrite: options.overwrite.includes(ref),
          edit: edit.what,
          now_ms: ports.now(),
        })
      : { action: "apply" };
  return {
    ref,
    resource,
    observed,
    spec_hash,
    get managed_hash() {
      return managedHash();
    },
    differs,
    decision,
    edited_at: edit.at_ms,
    edited_what: edit.what,
    concern,
  };
}

/** Of the managed part of what was observed. */
export const hashOfManaged = (resource: Resource, observed: unknown): string =>
  contentHash(kindOf(resource).managed(observed) ?? null);

function hashOfSpec(spec: Resource["spec"], known: WeakMap<object, string>): string {
  const before = known.get(spec);
  if (before !== undefined) return before;
  const hash = contentHash(spec);
  known.set(spec, hash);
  return hash;
}

/** Looks at one resource; an error that the kind knows is a result. */
export async function observe(
  resource: Resource,
  ports: Ports,
  signal: AbortSignal,
  known?: { readonly unseen: boolean; readonly applied: Resource["spec"] | null },
): Promise<PlanEntry["observed"]> {
  const kind = kindOf(resource);
  if (ports.confined !== null && kind.host_wide === true)
    return {
      error: new FleetError("UNSUPPORTED", `a ${resource.kind} needs the whole machine: ${ports.confined}`),
    };
  try {
    return { value: await kind.observe(resource, ports, signal, known) };
  } catch (error) {
    if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
    return { error };
  }
}

function entryOf(looked: Looked, state: LedgerState): PlanEntry {
  const entry = state.resources[looked.ref];
  return {
    resource: looked.resource,
    observed: looked.observed,
    applied: entry?.resource.spec ?? null,
    made: entry?.made ?? state.making.includes(looked.ref),
    kept: looked.decision.action === "keep" ? keptWords(looked.decision) : null,
  };
}

const keptWords = ({ why, error }: Extract<Decision, { action: "keep" }>) =>
  error === "UNDONE" ? `UNDONE, and not tried again until the folder differs: ${why}` : why;

/** For each resource whose steps can cut the host off: how it is watched. */
function guardsOf(
  looked: readonly Looked[],
  removed: readonly PlanEntry[],
  steps: readonly Step[],
): Round["guards"] {
  const guards = new Map<string, { window_ms: number; watches: readonly string[] }>();
  const all = [...looked, ...removed.map((entry) => ({ ...entry, ref: refOf(entry.resource) }))];
  for (const { ref, resource, observed } of all) {
    const own = steps.filter((step) => step.ref === ref);
    const { guard } = kindOf(resource);
    if (own.length === 0 || guard === undefined || !("value" in observed)) continue;
    const watch = guard.plan(resource, observed.value, own);
    if (watch !== null) guards.set(ref, watch);
  }
  return guards;
}
