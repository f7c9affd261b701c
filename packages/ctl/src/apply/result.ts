/** What a plan or a change amounts to: the exit code, and all of it for scripts. */
import { FleetError } from "@muster/protocol/errors";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { outcomeLine } from "../report/outcome.ts";
import { exitOf, type HostOutcome, type Outcomes } from "./outcome.ts";
import { canGo, needsChange, type Planned, refusalOf } from "./plans.ts";
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
  const missing = scope.not_enrolled
    .filter((name) => wanted.named.has(name))
    .map((): HostOutcome => "silent");
  output.json({
    generation: signed.release.generation,
    rollout: signed.release.id,
    hosts: Object.fromEntries(outcomes.hosts),
    ...plansJson(planned, scope),
  });
  return exitOf([...[...outcomes.hosts.values()].map(({ outcome }) => outcome), ...left_out, ...missing]);
}

/** A host that gets nothing: as it should be, silent, or refusing. */
const outcomeLeftOut = (each: Planned): HostOutcome =>
  each.plan === null ? "silent" : refusalOf(each) !== null ? "refused" : "converged";

/** When no host gets anything: `text`, unless that would be better than the truth. */
export function nothingToDo(
  context: Context,
  planned: readonly Planned[],
  scope: Scope,
  wanted: Wanted,
  text: string,
): number {
  const left_out = planned.map(outcomeLeftOut);
  const missing = scope.not_enrolled
    .filter((name) => wanted.named.has(name))
    .map((): HostOutcome => "silent");
  if (left_out.every((outcome) => outcome === "converged")) context.output.line(text);
  context.output.json({ generation: null, rollout: null, hosts: {}, ...plansJson(planned, scope) });
  return exitOf([...left_out, ...missing]);
}

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
  const missing = scope.not_enrolled.filter((name) => named.has(name)).map((): HostOutcome => "silent");
  const exit = exitOf([...left_out, ...missing]);
  if (exit !== EXIT.done) return exit;
  return planned.some(needsChange) ? EXIT.changes : EXIT.done;
}
