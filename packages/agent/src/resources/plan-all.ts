/**
 * One host's plan out of all its resources: each kind's own steps in the manifest's order, then what is no longer declared, then the services
 * that take note, each once however many files ask for it. What is no longer declared and has a port, an address, a subnet or a path that
 * another one is to have goes just before that one is made. Pure: the same input gives the same plan.
 */
import type { Plan, Resource, ResourceRef, Step } from "@muster/protocol";
import type { ErrorReply, FleetError } from "@muster/protocol/errors";
import { refOf } from "@muster/protocol/resources/index";
import { kindOf } from "./index.ts";
import type { PlanContext, Reaction } from "./kind.ts";
import { occupied } from "./occupied.ts";

/** One resource with what is known of it. */
export type PlanEntry = {
  readonly resource: Resource;
  /** What its `observe` gave, or the error that it threw. */
  readonly observed: { readonly value: unknown } | { readonly error: FleetError };
  /** The spec that Muster last applied here; null when never. */
  readonly applied: unknown;
  /** Muster made it: a step of it with `args.makes === true` was done. */
  readonly made: boolean;
  /** Set: nothing is done about it now, and why (held, edited by hand). */
  readonly kept?: string | null;
  /** Nobody sees its plan: see `PlanContext`. */
  readonly unseen?: boolean;
};

export type PlanInput = {
  /** In the manifest's order. */
  readonly declared: readonly PlanEntry[];
  /** Applied once and no longer declared, as they stood in the manifest that had them, in its order. */
  readonly removed: readonly PlanEntry[];
  /** Reactions of an earlier plan that were noted before its first step and not done, as after a crash between the two. */
  readonly owed: readonly Reaction[];
};

export type PlannedAll = {
  readonly steps: readonly Step[];
  readonly waiting: Plan["waiting"];
  readonly left: Plan["left"];
  readonly notes: readonly string[];
  /** As declared, and not working: what each says. */
  readonly unwell: readonly { readonly ref: ResourceRef; readonly why: string }[];
  /** Declarations that are wrong for this host: when there is one, nothing of the manifest may be applied. They stand in `waiting` too. */
  readonly refused: readonly { readonly ref: ResourceRef; readonly error: ErrorReply }[];
  /** To be noted on disk before the first step and struck off when the step that stands for them is done. */
  readonly reactions: readonly Reaction[];
  /** Of what goes to make room: whom for. It stays when that one fails before. */
  readonly making_room?: Readonly<Record<ResourceRef, ResourceRef>>;
};

const WHY_LIMIT = 2_000;
/** Codes by which `observe` says that the declaration itself is wrong. */
const REFUSING = new Set(["PROTECTED_PATH", "INVALID"]);

/** Plans a whole manifest. */
export function planAll(input: PlanInput): PlannedAll {
  const draft: Draft = {
    steps: [],
    waiting: [],
    left: [],
    notes: [],
    unwell: [],
    refused: [],
    asked: input.owed.map((reaction) => ({ reaction, at: -1 })),
    coming: new Set(),
    going: new Set(),
  };
  const blocked = new Set<ResourceRef>();
  for (const entry of input.declared) {
    if (!planOne(entry, blocked, draft)) blocked.add(refOf(entry.resource));
  }
  const removal = removalSteps(input.removed, draft);
  const reactions = neededReactions({ ...draft, steps: [...draft.steps, ...removal] });
  const making_room = roomFor(input, draft.steps, removal);
  return {
    steps: [...ordered(draft.steps, removal, making_room), ...reactionSteps(reactions)],
    ...(making_room.size > 0 ? { making_room: Object.fromEntries(making_room) } : {}),
    waiting: draft.waiting,
    left: draft.left,
    notes: draft.notes,
    unwell: draft.unwell,
    refused: draft.refused,
    reactions,
  };
}

type Draft = {
  readonly steps: Step[];
  readonly waiting: Plan["waiting"];
  readonly left: Plan["left"];
  readonly notes: string[];
  readonly unwell: { readonly ref: ResourceRef; readonly why: string }[];
  readonly refused: { readonly ref: ResourceRef; readonly error: ErrorReply }[];
  /** `at`: how many steps were planned when it was asked for. */
  readonly asked: { readonly reaction: Reaction; readonly at: number }[];
  readonly coming: Set<string>;
  readonly going: Set<string>;
};

/** False when the resource waits, so that what needs it waits too. */
function planOne(entry: PlanEntry, blocked: ReadonlySet<ResourceRef>, draft: Draft): boolean {
  const { resource, observed } = entry;
  const ref = refOf(resource);
  const wait = (why: string) => {
    draft.waiting.push({ ref, why: why.slice(0, WHY_LIMIT) });
    return false;
  };
  const refuse = (error: ErrorReply) => {
    draft.refused.push({ ref, error });
    return wait(error.detail);
  };
  if (typeof entry.kept === "string") return wait(entry.kept);
  if ("error" in observed) {
    const error = observed.error;
    return REFUSING.has(error.code) ? refuse(error.toReply()) : wait(error.message);
  }
  const plan = kindOf(resource).plan(resource, observed.value, contextOf(entry, draft));
  draft.notes.push(...plan.notes);
  if (plan.refused !== undefined) return refuse(plan.refused);
  if (plan.unsupported !== undefined) return wait(plan.unsupported);
  const missing = resource.needs.find((need) => blocked.has(need));
  if (missing !== undefined && plan.steps.length > 0) return wait(`needs ${missing}, which waits`);
  draft.steps.push(...plan.steps);
  for (const reaction of plan.reactions ?? []) draft.asked.push({ reaction, at: draft.steps.length });
  if (plan.unwell !== undefined) draft.unwell.push({ ref, why: plan.unwell.slice(0, WHY_LIMIT) });
  const comes = resource.kind === "package" ? ["install"] : null;
  if (plan.steps.some(({ action }) => comes?.includes(action) ?? true))
    draft.coming.add(isPath(resource) ? resource.name : ref);
  return true;
}

/**
 * Files are judged first, since a service goes only when its unit file does; directories last, the deepest first, when they may be empty. The
 * steps then run with services before the files that they run from. Within a kind it is the manifest's order backwards.
 */
function removalSteps(removed: readonly PlanEntry[], draft: Draft): Step[] {
  const judged = {
    bird: 0,
    check: 0,
    certificate: 0,
    log: 0,
    container: 0,
    network: 1,
    volume: 1,
    file: 1,
    sysctl: 1,
    service: 2,
    timer: 2,
    directory: 3,
    user: 4,
    package: 4,
  } as const;
  const done = {
    bird: 0,
    check: 0,
    certificate: 0,
    log: 0,
    container: 0,
    network: 1,
    volume: 1,
    service: 1,
    timer: 1,
    file: 2,
    sysctl: 2,
    directory: 3,
    user: 4,
    package: 4,
  } as const;
  const depth = ({ resource }: PlanEntry) =>
    resource.kind === "directory" ? resource.name.split("/").length : 0;
  return [...removed]
    .reverse()
    .sort((a, b) => judged[a.resource.kind] - judged[b.resource.kind] || depth(b) - depth(a))
    .map((entry) => ({ kind: entry.resource.kind, steps: removeOne(entry, draft) }))
    .sort((a, b) => done[a.kind] - done[b.kind])
    .flatMap(({ steps }) => steps);
}

/** Of each removal that has to come early: before which of the declared ones that are to be made. */
function roomFor(
  { declared, removed }: PlanInput,
  steps: readonly Step[],
  removal: readonly Step[],
): Map<ResourceRef, ResourceRef> {
  const made = new Set(steps.map(({ ref }) => ref));
  const gone = new Set(removal.map(({ ref }) => ref));
  const wanted = declared.map(({ resource }) => resource).filter((each) => made.has(refOf(each)));
  const going = removed.map(({ resource }) => resource).filter((each) => gone.has(refOf(each)));
  const room = new Map<ResourceRef, ResourceRef>();
  for (const resource of going) {
    const taker = wanted.find((each) => occupied(resource, each) !== null);
    if (taker !== undefined) room.set(refOf(resource), refOf(taker));
  }
  // A network goes only when nobody is on it any more.
  for (const [ref, taker] of [...room])
    for (const resource of ref.startsWith("network/") ? going : [])
      if (resource.kind === "container" && ref.slice("network/".length) in resource.spec.networks)
        room.set(refOf(resource), taker);
  return room;
}

/** A taker's image is fetched while what stands in its way still runs. */
function ordered(
  steps: readonly Step[],
  removal: readonly Step[],
  room: ReadonlyMap<ResourceRef, ResourceRef>,
): Step[] {
  const found: Step[] = [];
  const opened = new Set<ResourceRef>();
  for (const step of steps) {
    if (step.action !== "pull" && !opened.has(step.ref)) {
      opened.add(step.ref);
      found.push(...removal.filter(({ ref }) => room.get(ref) === step.ref));
    }
    found.push(step);
  }
  return [...found, ...removal.filter(({ ref }) => !room.has(ref))];
}

function removeOne(entry: PlanEntry, draft: Draft): readonly Step[] {
  const { resource, observed } = entry;
  const leave = (why: string) => {
    draft.left.push({ ref: refOf(resource), why: why.slice(0, 500) });
    return [];
  };
  if (typeof entry.kept === "string") return leave(entry.kept);
  if ("error" in observed) return leave(observed.error.message);
  const plan = kindOf(resource).removal(resource, observed.value, contextOf(entry, draft));
  if ("left" in plan) return leave(plan.left);
  for (const reaction of plan.reactions ?? []) draft.asked.push({ reaction, at: Number.POSITIVE_INFINITY });
  draft.going.add(isPath(resource) ? resource.name : refOf(resource));
  return plan.steps;
}

const contextOf = (entry: PlanEntry, draft: Draft): PlanContext => ({
  applied: entry.applied,
  made: entry.made,
  coming: draft.coming,
  going: draft.going,
  unseen: entry.unseen === true,
});

const isPath = (resource: Resource) => resource.kind === "file" || resource.kind === "directory";

/** Those that no step of the same plan makes needless: a service that starts or restarts later has read its files by then. */
function neededReactions(draft: Draft): Reaction[] {
  return draft.asked
    .filter(({ reaction, at }) => {
      const ref = `service/${reaction.service}`;
      return !draft.steps.some((step, index) => {
        if (step.ref !== ref) return false;
        return step.action === "stop" || step.action === "remove" || (step.action === "start" && index >= at);
      });
    })
    .map(({ reaction }) => reaction);
}

/** One step a service; a restart covers a reload. */
function reactionSteps(reactions: readonly Reaction[]): Step[] {
  const by_service = new Map<string, Reaction[]>();
  for (const reaction of reactions) {
    by_service.set(reaction.service, [...(by_service.get(reaction.service) ?? []), reaction]);
  }
  return [...by_service].map(([service, group]): Step => {
    const verb = group.some((reaction) => reaction.verb === "restart") ? "restart" : "reload";
    const because = [...new Set(group.map((reaction) => reaction.because))];
    const shown =
      because.slice(0, 10).join(", ") + (because.length > 10 ? `, ${because.length - 10} more` : "");
    return {
      ref: `service/${service}`,
      action: verb,
      args: {},
      why: `${shown} changed`.slice(0, WHY_LIMIT),
      effect: `${verb}s ${service}${verb === "restart" ? ": it is away for a moment" : ""}`,
      reversible: false,
    };
  });
}
