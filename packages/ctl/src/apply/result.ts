/** What a plan or a change amounts to: the exit code, and all of it for scripts. */
import { FleetError } from "@muster/protocol/errors";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { outcomeLine } from "../report/outcome.ts";
import { exitOf, type HostOutcome, type Outcomes } from "./outcome.ts";
import { canGo, isEdited, needsChange, type Planned, refusalOf, waitingOf } from "./plans.ts";
import type { Wanted } from "./prepare.ts";
import type { Scope } from "./scope.ts";
import type { SignedRelease } from "./sign.ts";

/** Tells what is left to tell, and gives the exit code. Hosts that needed nothing make a failure no better. */
export function conclude(
  context: Context,
  signed: SignedRelease,
  outcomes: Outcomes,
  planned: readonly Planned[],
  scope: Scope,
  wanted: Wanted,
): number {
  const { output } = context;
  for (const [name, told] of outcomes.hosts)
    if (told.outcome === "waiting" || told.outcome === "under way")
      output.line(outcomeLine(name, told, output.colour));
  const left_out = planned
    .filter((each) => !canGo(each))
    .map(outcomeLeftOut)
    .filter((outcome) => outcome !== "converged");
  output.json({
    generation: signed.release.generation,
    rollout: signed.release.id,
    hosts: Object.fromEntries(outcomes.hosts),
    ...plansJson(planned, scope),
  });
  const told = [...outcomes.hosts.values()].map(({ outcome }) => outcome);
  return exitWith(exitOf([...told, ...left_out]), scope, wanted.named);
}

/** A host that gets nothing: as it should be, silent, refusing, or holding off what it should have done. */
function outcomeLeftOut(each: Planned): HostOutcome {
  if (each.plan === null) return "silent";
  if (refusalOf(each) !== null) return "refused";
  const waiting = needsChange(each) ? [] : waitingOf(each);
  if (waiting.length === 0) return "converged";
  return waiting.some(({ error }) => error === "UNDONE") ? "undone" : "failed";
}

/** When no host gets anything: `text`, unless that would be better than the truth. A hand edit that is left was not replaced: that failed. */
export function nothingToDo(
  context: Context,
  planned: readonly Planned[],
  scope: Scope,
  wanted: Wanted,
  text: string,
): number {
  const left_out = planned.map((each) => (isEdited(each) ? "failed" : outcomeLeftOut(each)));
  if (left_out.length > 0 && left_out.every((outcome) => outcome === "converged")) context.output.line(text);
  context.output.json({ generation: null, rollout: null, hosts: {}, ...plansJson(planned, scope) });
  return exitWith(exitOf(left_out), scope, wanted.named);
}

/** A host that was named and is enrolled nowhere is a part that is not done. */
const exitWith = (exit: number, scope: Scope, named: ReadonlySet<string>) =>
  exit === EXIT.done && scope.not_enrolled.some((name) => named.has(name)) ? EXIT.partly : exit;

/** Plans and what was left out, for scripts. */
export function plansJson(planned: readonly Planned[], scope: Scope): object {
  return {
    plans: planned.map(({ target, plan }) => ({
      host: target.name,
      changed: target.changed,
      held_back: target.desired.held_back,
      ...(plan === null
        ? { silent: true }
        : plan instanceof FleetError
          ? { error: plan.toReply() }
          : { plan }),
    })),
    not_enrolled: scope.not_enrolled,
    pending: scope.pending,
  };
}

/** Exit code of a plan: silence and refusals first, then whether something is pending. */
export function planExit(planned: readonly Planned[], scope: Scope, named: ReadonlySet<string>): number {
  const left_out = planned.map(outcomeLeftOut);
  const exit = exitWith(exitOf(left_out), scope, named);
  if (exit !== EXIT.done) return exit;
  return planned.some(needsChange) ? EXIT.changes : EXIT.done;
}
