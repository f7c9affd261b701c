/**
 * A change from plan to outcome, the same for `apply` and `rollback`: show what hosts would do, ask, sign, hand over, watch. When somebody was
 * faster, or a host is no longer as it was planned, all of it is done again and asked again.
 */
import { randomBytes } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { KINDS, refOf } from "@muster/protocol/resources/index";
import { countText, listText } from "../output/words.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { planLines } from "../report/plan.ts";
import type { FolderHere } from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import { type Early, type EarlyPlans, withEarly } from "./early.ts";
import { order as orderRelease } from "./order.ts";
import { pinTargets } from "./pinning.ts";
import { askPlans, canGo, type Planned } from "./plans.ts";
import { type Ground, readGround, type Wanted } from "./prepare.ts";
import { conclude, nothingToDo } from "./result.ts";
import type { Scope, Target } from "./scope.ts";
import { type SignedRelease, signRelease } from "./sign.ts";
import { gateOf, orderOf, silentLast } from "./waves.ts";

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
  /** What of it has begun. */
  readonly early?: Early;
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
    const early = round === 1 && options.early?.isFresh() ? options.early : undefined;
    const ground = await (early?.ground ?? readGround(session, connection, wanted, folder.pins));
    if (ground.generation === null)
      throw ground.controller ?? new FleetError("NO_RESPONDER", "no controller");
    const scope = await options.scope(ground);
    if (!(await pinTargets(context, session, connection, folder, scope.targets))) return EXIT.failed;
    const overwrite = options.overwrite ? editable : () => [];
    const planned = await planAll(context, connection, scope.targets, overwrite, await early?.plans);
    for (const line of planLines(planned, scope, output.colour)) output.line(line);
    const going = planned.filter(canGo);
    if (going.length === 0) return nothingToDo(context, planned, scope, wanted, options.nothing);
    if (!(await output.confirm(options.question(listText(going.map(({ target }) => target.name))))))
      return EXIT.failed;
    const signed = sign(context, session, wanted, ground.generation + 1, going, options, overwrite);
    const result = await orderRelease(context, connection, ground, signed, wanted.fleet.contents, last_try);
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
  early: EarlyPlans | undefined,
): Promise<Planned[]> {
  const ask = (whom: readonly Target[]) => askPlans(connection, whom, overwrite, context.signal);
  const progress = context.output.progress(`asking ${countText(targets.length, "host")} for a plan`);
  try {
    return await (early === undefined ? ask(targets) : withEarly(early, targets, ask));
  } finally {
    progress.done();
  }
}

/**
 * The refs that `--overwrite` gives free, at most 256: what a person may have edited and Muster leaves alone, then what it puts back by itself
 * and may have given up on.
 */
export function editable(target: Target): string[] {
  const { resources } = target.desired.content;
  const left = resources.filter(
    (resource) => (resource.on_drift ?? KINDS[resource.kind].on_drift) !== "correct",
  );
  return [...new Set([...left, ...resources])].map(refOf).slice(0, 256);
}

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
  const silent = new Set(going.flatMap(({ target, plan }) => (plan === null ? [target.name] : [])));
  const in_order = orderOf(hosts, [...wanted.fleet.inventory.groups.keys()], wanted.fleet.settings);
  const order = silentLast(in_order, silent);
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
