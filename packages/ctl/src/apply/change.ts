/**
 * A change from plan to outcome, the same for `apply` and `rollback`: show what hosts would do, ask, sign, hand over, watch. When somebody was
 * faster, or a host is no longer as it was planned, all of it is done again and asked again.
 */
import { randomBytes } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { KINDS, refOf } from "@muster/protocol/resources/index";
import { withNext } from "../output/error.ts";
import { countText, listText } from "../output/words.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { outcomeLine } from "../report/outcome.ts";
import { planLines } from "../report/plan.ts";
import type { FolderHere } from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import { handOver } from "./hand-over.ts";
import { exitOf, type HostOutcome, type Outcomes } from "./outcome.ts";
import { askPlans, canGo, needsChange, type Planned, refusalOf } from "./plans.ts";
import { type Ground, pinTargets, readGround, type Wanted } from "./prepare.ts";
import type { Scope, Target } from "./scope.ts";
import { type SignedRelease, signRelease } from "./sign.ts";
import { watchRollout } from "./watch.ts";
import { gateOf, orderOf } from "./waves.ts";

/** A guard's window where no host could say one. */
const WINDOW_MS = 60_000;
/** With `-y` a change that was overtaken is tried once more by itself. */
const ROUNDS_UNASKED = 2;

export type ChangeOptions = {
  readonly message: string;
  readonly overwrite: boolean;
  readonly force: boolean;
  readonly within_ms: number | null;
  /** The question, such as `Apply to ixp1?`. */
  readonly question: (names: string) => string;
  /** What is about to be signed, from what the fleet says now. */
  readonly scope: (ground: Ground) => Promise<Scope> | Scope;
  readonly nothing: string;
};

/** Does it and gives the exit code. Errors: CONFLICT when it was overtaken again and again, NO_RESPONDER without a controller. */
export async function change(
  context: Context,
  session: Session,
  folder: FolderHere,
  wanted: Wanted,
  options: ChangeOptions,
): Promise<number> {
  const { output } = context;
  const connection = await session.connect();
  for (let round = 1; ; round++) {
    const last_try = context.global.yes && round >= ROUNDS_UNASKED;
    const ground = await readGround(session, connection, wanted, folder.pins);
    if (ground.generation === null)
      throw ground.controller ?? new FleetError("NO_RESPONDER", "no controller");
    const scope = await options.scope(ground);
    if (!(await pinTargets(context, folder, scope.targets))) return EXIT.failed;
    const overwrite = options.overwrite ? editable : () => [];
    const planned = await planAll(context, connection, scope.targets, overwrite);
    for (const line of planLines(planned, scope, output.colour)) output.line(line);
    const going = planned.filter(canGo);
    if (going.length === 0) return nothingToDo(context, planned, scope, wanted, options.nothing);
    if (!(await output.confirm(options.question(listText(going.map(({ target }) => target.name))))))
      return EXIT.failed;
    const signed = sign(context, session, wanted, ground.generation + 1, going, options, overwrite);
    const result = await order(context, connection, ground, signed, last_try);
    if (result === "again") {
      output.note(
        output.colour.amber("somebody was faster, or a host changed since it was planned: once more"),
      );
      continue;
    }
    if (typeof result === "number") return result;
    return conclude(context, signed, result, planned, scope, wanted);
  }
}

async function planAll(
  context: Context,
  connection: Connection,
  targets: readonly Target[],
  overwrite: (target: Target) => readonly string[],
): Promise<Planned[]> {
  const progress = context.output.progress(`asking ${countText(targets.length, "host")} for a plan`);
  try {
    return await askPlans(connection, targets, overwrite, context.signal);
  } finally {
    progress.done();
  }
}

/** What a person may have edited and Muster leaves alone: the refs that `--overwrite` gives free. */
export const editable = (target: Target): string[] =>
  target.desired.content.resources
    .filter((resource) => (resource.on_drift ?? KINDS[resource.kind].on_drift) !== "correct")
    .map(refOf)
    .slice(0, 256);

function sign(
  context: Context,
  session: Session,
  wanted: Wanted,
  generation: number,
  going: readonly Planned[],
  options: ChangeOptions,
  overwrite: (target: Target) => readonly string[],
): SignedRelease {
  const hosts = going.flatMap(({ target }) => wanted.fleet.hosts.get(target.name) ?? []);
  const order = orderOf(hosts, [...wanted.fleet.inventory.groups.keys()], wanted.fleet.settings);
  const windows = going.map(({ plan }) =>
    plan === null || plan instanceof FleetError ? WINDOW_MS : (plan.guard?.window_ms ?? 0),
  );
  const changes = going.map(({ target, plan }) => ({
    ...target,
    plan_index: plan === null || plan instanceof FleetError ? null : plan.index,
  }));
  const by_name = new Map(going.map(({ target }) => [target.name, target]));
  return signRelease(
    changes,
    {
      fleet: session.fleet,
      rollout: randomBytes(16).toString("hex"),
      generation,
      message: options.message,
      overwrite: (name) => {
        const target = by_name.get(name);
        return target === undefined ? [] : overwrite(target);
      },
      force: options.force,
      within_ms: options.within_ms,
      order,
      gate: gateOf(order, options.within_ms ?? Math.max(...windows)),
    },
    session.signer,
    context.now(),
  );
}

/** Orders the release and watches it; `again` when it was overtaken, an exit code when the person stopped watching. */
async function order(
  context: Context,
  connection: Connection,
  ground: Ground,
  signed: SignedRelease,
  last_try: boolean,
): Promise<Outcomes | "again" | number> {
  const { output } = context;
  const names = Object.keys(signed.release.hosts);
  const before = new Map(
    [...ground.views].flatMap(([name, view]) =>
      view.convergence === null ? [] : [[name, view.convergence] as const],
    ),
  );
  const progress = output.progress(`generation ${signed.release.generation}: handing over`);
  let ordered = false;
  const watch = watchRollout({
    caller: connection,
    release: signed.release,
    before,
    now: context.now,
    signal: context.signal,
    changed: (name, outcomes) => {
      const all = [...outcomes.hosts.values()].map(({ outcome }) => outcome);
      progress.update(`generation ${signed.release.generation}: ${progressText(all, names.length)}`);
      const now = outcomes.hosts.get(name);
      const over = now !== undefined && now.outcome !== "waiting" && now.outcome !== "under way";
      if (over && now.error !== "CONFLICT") output.line(outcomeLine(name, now, output.colour));
    },
  });
  try {
    await handOver(connection, signed, (count) => progress.update(`handed over ${count} of ${names.length}`));
    ordered = true;
    const outcomes = await watch.ended();
    const overtaken = [...outcomes.hosts].filter(
      ([, { outcome, error }]) => outcome === "refused" && error === "CONFLICT",
    );
    if (overtaken.length > 0 && !last_try) return "again";
    for (const [name, told] of overtaken) output.line(outcomeLine(name, told, output.colour));
    return outcomes;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (error.code === "CONFLICT" && !ordered && !last_try) return "again";
    if (error.code === "CANCELLED" && context.signal.aborted) {
      progress.done();
      sayHowToGoOn(context, ordered);
      return EXIT.interrupted;
    }
    if (error.code === "ROLLOUT_BUSY")
      throw withNext(error, "watch it: ctl apply --watch    stop it: ctl apply --abort");
    throw error;
  } finally {
    progress.done();
    watch.close();
  }
}

/** `2 of 3 converged, 1 under way`. */
export function progressText(outcomes: readonly HostOutcome[], total: number): string {
  const count = (outcome: HostOutcome) => outcomes.filter((each) => each === outcome).length;
  const rest = (
    ["under way", "waiting", "undone", "failed", "refused", "returned", "silent"] as const
  ).flatMap((outcome) => (count(outcome) > 0 ? [`${count(outcome)} ${outcome}`] : []));
  return [`${count("converged")} of ${total} converged`, ...rest].join(", ");
}

export function sayHowToGoOn(context: Context, ordered: boolean): void {
  const { output } = context;
  if (!ordered) {
    output.note("stopped before the change was ordered: nothing goes out");
    return;
  }
  output.note("stopped watching; the change goes on");
  output.note("watch it  ctl apply --watch");
  output.note("stop it   ctl apply --abort");
}

function conclude(
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
  const left_out = planned.filter((each) => !canGo(each)).map(outcomeLeftOut);
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

function nothingToDo(
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
