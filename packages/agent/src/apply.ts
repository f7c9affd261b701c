/**
 * Applies a round's plan, step by step in its order, and reads back. It makes no choice but one: what failed blocks its own later steps and
 * those that need it, and everything else goes on. Guarded resources go through `guarded.ts`.
 */
import type { Resource, Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { refOf, splitRef } from "@muster/protocol/resources/index";
import { recent } from "./decide.ts";
import { applyGuarded, type GuardedDoor, type GuardedOutcome } from "./guarded.ts";
import type { Entry, Ledger, LedgerChange, LedgerState } from "./ledger.ts";
import type { Ports } from "./ports/index.ts";
import { kindOf } from "./resources/index.ts";
import { hashOfManaged, observe, type Round } from "./round.ts";

export type Failure = { readonly ref: string; readonly code: FleetError["code"]; readonly what: string };

export type Applied = {
  /** References whose steps were all done and read back. */
  readonly done: readonly string[];
  readonly failures: readonly Failure[];
  readonly undone: readonly Extract<GuardedOutcome, { result: "undone" }>[];
  readonly took_ms: number;
};

export type ApplyOptions = {
  readonly generation: number;
  /** The operator's window for guarded changes; null = as the plan says. */
  readonly within_ms: number | null;
  /** References whose hand edits were given free in this round. */
  readonly overwrite: readonly string[];
  readonly ledger: Ledger;
  readonly ports: Ports;
  readonly guarded: GuardedDoor;
};

export async function applyRound(round: Round, options: ApplyOptions, signal: AbortSignal): Promise<Applied> {
  const { ledger, ports } = options;
  const began = performance.now();
  const { steps, reactions } = round.planned;
  const making = steps.filter((step) => step.args.makes === true).map((step) => step.ref);
  if (making.length > 0 || reactions.length > 0 || ledger.state.making.length > 0) {
    await ledger.update((state) => ({
      making: [...new Set([...state.making, ...making])],
      owed: [...reactions],
    }));
  }
  const failed = new Map<string, Failure>();
  const undone: Applied["undone"][number][] = [];
  const touched = new Set<string>();
  const resources = resourcesOf(round, ledger.state);
  const declared = new Map(round.content.resources.map((resource) => [refOf(resource), resource]));
  const fail = (ref: string, error: unknown) => {
    if (!(error instanceof FleetError)) throw error;
    if (error.code === "CANCELLED" && signal.aborted) throw error;
    failed.set(ref, { ref, code: error.code, what: error.message });
  };

  const blocked = ({ ref }: StepGroup): boolean => {
    if (failed.has(ref)) return true;
    const blocker = resources.get(ref)?.needs.find((need) => failed.has(need));
    const taker = round.planned.making_room?.[ref];
    if (blocker === undefined && (taker === undefined || !failed.has(taker))) return false;
    const what =
      blocker === undefined
        ? `stays until ${taker} can take its place, which failed`
        : `needs ${blocker}, which failed`;
    failed.set(ref, { ref, code: "FAILED", what });
    return true;
  };

  const pending = grouped(steps);
  for (let group = pending.shift(); group !== undefined; group = pending.shift()) {
    const { ref } = group;
    const resource = resources.get(ref) ?? null;
    if (blocked(group)) continue;
    touched.add(ref);
    const { together, guard, apply } = kindOf(splitRef(ref));
    const joins = (each: StepGroup) =>
      each.steps.every((step) => together?.joins(step, declared.get(each.ref) ?? null));
    if (together !== undefined && joins(group)) {
      const take = together.reach === "all" ? takeReady : takeNext;
      const groups = [group, ...take(pending, group, resources, joins).filter((each) => !blocked(each))];
      for (const each of groups) touched.add(each.ref);
      try {
        const steps = groups.flatMap((each) => each.steps);
        const errors = await together.apply(steps, ports, signal, declared);
        for (const [failed_ref, error] of errors) fail(failed_ref, error);
      } catch (error) {
        for (const each of groups) fail(each.ref, error);
      }
      continue;
    }
    const began_ms = ports.now();
    const watch = round.guards.get(ref);
    try {
      if (watch !== undefined && guard !== undefined && resource !== null) {
        const outcome = await applyGuarded(
          {
            ref,
            resource,
            spec_hash: round.looked.find((each) => each.ref === ref)?.spec_hash ?? null,
            steps: group.steps,
            generation: options.generation,
            watches: watch.watches,
          },
          options.within_ms ?? watch.window_ms,
          options.guarded,
          ports,
          signal,
        );
        if (outcome.result === "undone") {
          undone.push(outcome);
          failed.set(ref, { ref, code: "UNDONE", what: outcome.why });
        }
      } else {
        for (const step of group.steps) {
          const context = {
            resource: declared.get(ref) ?? null,
            generation: options.generation,
            window_ms: null,
          };
          await apply(step, ports, signal, context);
        }
      }
    } catch (error) {
      fail(ref, error);
      // The kind took its own change back: as for a guarded one, the same declaration is not tried again.
      if (error instanceof FleetError && error.code === "UNDONE")
        undone.push({
          result: "undone",
          ref,
          why: error.detail,
          took_ms: ports.now() - began_ms,
          error: null,
        });
    }
  }
  const readings = await readBack(round, touched, failed, ports, signal);
  const outcome = { touched, failed, undone, readings };
  await ledger.update((state) => noted(state, round, outcome, options));
  return {
    done: [...touched].filter((ref) => !failed.has(ref)),
    failures: [...failed.values()],
    undone,
    took_ms: Math.round(performance.now() - began),
  };
}

type StepGroup = { readonly ref: string; readonly steps: Step[] };

type Take = (
  pending: StepGroup[],
  first: StepGroup,
  resources: ReadonlyMap<string, Resource>,
  joins: (group: StepGroup) => boolean,
) => StepGroup[];

/** Takes out of what is still to be done the groups of the first one's kind that need nothing of the rest. */
const takeReady: Take = (pending, first, resources, joins) => {
  const { kind } = splitRef(first.ref);
  const open = new Set(pending.map(({ ref }) => ref));
  const ready = pending.filter(
    (group) =>
      splitRef(group.ref).kind === kind &&
      !(resources.get(group.ref)?.needs ?? []).some((need) => open.has(need)) &&
      joins(group),
  );
  for (const each of ready) pending.splice(pending.indexOf(each), 1);
  return ready;
};

/** Takes those of its kind that come right after the first and need nothing of what is taken with them. */
const takeNext: Take = (pending, first, resources, joins) => {
  const { kind } = splitRef(first.ref);
  const taken = new Set([first.ref]);
  const end = pending.findIndex((group) => {
    const needs = resources.get(group.ref)?.needs ?? [];
    const goes = splitRef(group.ref).kind === kind && !needs.some((need) => taken.has(need)) && joins(group);
    taken.add(group.ref);
    return !goes;
  });
  return pending.splice(0, end === -1 ? pending.length : end);
};

/** Consecutive steps of one resource belong together. */
function grouped(steps: readonly Step[]): StepGroup[] {
  const groups: StepGroup[] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (last?.ref === step.ref) last.steps.push(step);
    else groups.push({ ref: step.ref, steps: [step] });
  }
  return groups;
}

function resourcesOf(round: Round, state: LedgerState): Map<string, Resource> {
  const found = new Map<string, Resource>();
  for (const [ref, entry] of Object.entries(state.resources)) found.set(ref, entry.resource);
  for (const resource of round.content.resources) found.set(refOf(resource), resource);
  return found;
}

/** Every apply reads back: what still differs has failed, whatever its steps said. */
async function readBack(
  round: Round,
  touched: ReadonlySet<string>,
  failed: Map<string, Failure>,
  ports: Ports,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const hashes = new Map<string, string>();
  const again = round.looked.filter(({ ref }) => touched.has(ref) && !failed.has(ref));
  // Else our own writing would wake the loop for a look at what is looked at here.
  ports.files.seen(again.flatMap(({ resource }) => [...kindOf(resource).watch(resource)]));
  await Promise.all(
    again.map(async ({ ref, resource }) => {
      const observed = await observe(resource, ports, signal);
      if ("error" in observed) {
        failed.set(ref, { ref, code: observed.error.code, what: observed.error.message });
        return;
      }
      hashes.set(ref, hashOfManaged(resource, observed.value));
      const context = {
        applied: resource.spec,
        made: true,
        coming: new Set<string>(),
        going: new Set<string>(),
      };
      const [still] = kindOf(resource).plan(resource, observed.value, context).steps;
      if (still !== undefined)
        failed.set(ref, { ref, code: "FAILED", what: `differs after it was applied: ${still.why}` });
    }),
  );
  return hashes;
}

type Outcome = {
  readonly touched: ReadonlySet<string>;
  readonly failed: ReadonlyMap<string, Failure>;
  readonly undone: Applied["undone"];
  readonly readings: ReadonlyMap<string, string>;
};

/** What came of it, for the ledger in this state; empty when nothing is new. */
function noted(state: LedgerState, round: Round, outcome: Outcome, options: ApplyOptions): LedgerChange {
  const now_ms = options.ports.now();
  const resources: Record<string, Entry> = { ...state.resources };
  const undone = { ...state.undone };
  let changed = state.making.length > 0 || state.owed.length > 0;
  for (const looked of round.looked) {
    const { ref, decision } = looked;
    const before = state.resources[ref];
    if (outcome.failed.has(ref) || (decision.action !== "apply" && decision.action !== "correct")) continue;
    if ("error" in looked.observed) continue;
    if (!outcome.touched.has(ref) && looked.differs) continue;
    const overwritten = options.overwrite.includes(ref) ? options.generation : (before?.overwritten ?? null);
    const same = before?.spec_hash === looked.spec_hash && before.overwritten === overwritten;
    if (!outcome.touched.has(ref) && same) continue;
    const corrected = recent(before?.corrected ?? [], now_ms);
    resources[ref] = {
      resource: looked.resource,
      spec_hash: looked.spec_hash,
      managed_hash: outcome.readings.get(ref) ?? looked.managed_hash,
      made: before?.made ?? state.making.includes(ref),
      applied_at: outcome.touched.has(ref) ? now_ms : (before?.applied_at ?? now_ms),
      corrected: decision.action === "correct" ? [...corrected, now_ms].slice(-16) : corrected,
      overwritten,
    };
    delete undone[ref];
    changed = true;
  }
  const declared = new Set(round.looked.map(({ ref }) => ref));
  const waiting = new Set(round.planned.left.map(({ ref }) => ref));
  for (const ref of Object.keys(state.resources)) {
    // What is left in place stays known, so that each plan says so; what was removed is forgotten.
    if (declared.has(ref) || outcome.failed.has(ref) || waiting.has(ref)) continue;
    delete resources[ref];
    changed = true;
  }
  for (const each of outcome.undone) {
    const looked = round.looked.find(({ ref }) => ref === each.ref);
    if (looked === undefined) continue;
    undone[each.ref] = {
      spec_hash: looked.spec_hash,
      why: each.why.slice(0, 2_000),
      at: now_ms,
      crashed: false,
    };
    changed = true;
  }
  const bird = [...outcome.touched].some((ref) => ref.startsWith("bird/"));
  if (!changed && !bird) return {};
  return {
    resources,
    undone,
    making: [],
    owed: owedStill(round, outcome.failed),
    ...(bird ? { bird_changed_at: now_ms } : {}),
  };
}

/** A reaction whose step failed is owed until it works. */
const owedStill = (round: Round, failed: ReadonlyMap<string, Failure>) =>
  round.planned.reactions.filter((reaction) => failed.has(`service/${reaction.service}`));
