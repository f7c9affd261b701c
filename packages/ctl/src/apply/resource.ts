/** One resource of one host as the host sees it: its plan for this one change, everything else as signed. Changes nothing. */
import { FleetError } from "@muster/protocol/errors";
import type { Plan } from "@muster/protocol/plan";
import type { LoadedFleet } from "../inventory/fleet.ts";
import type { Context } from "../program/context.ts";
import type { FolderHere } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";
import { editable } from "./change.ts";
import { askPlans, type Planned } from "./plans.ts";
import { loadWanted, readGround, scopeFor } from "./prepare.ts";

/**
 * What the host says of `ref`; null when it is enrolled nowhere. Of its plan only what is about `ref` is left.
 * Errors: NOT_LOGGED_IN, NOT_ALLOWED for a viewer, INVENTORY while the folder has mistakes, those of the bus.
 */
export async function planOfResource(
  context: Context,
  folder: FolderHere,
  { fleet }: LoadedFleet,
  name: string,
  ref: string,
): Promise<Planned | null> {
  const session = await openSession(context, { rank: "ci" });
  const connection = await session.connect();
  const wanted = await loadWanted(context, session, folder, name);
  const host = fleet.hosts.get(name);
  // The others are not this command's business: what was signed for them is not read.
  const alone = {
    ...wanted,
    compiled: wanted.compiled.filter((each) => each.host === name),
    fleet: { ...fleet, hosts: new Map(host === undefined ? [] : [[name, host]]) },
  };
  const ground = await readGround(session, connection, alone, folder.pins);
  const scope = scopeFor(alone, ground, [ref]);
  const ask = async (overwrite: typeof editable): Promise<Planned | undefined> => {
    const [planned] = await askPlans(connection, scope.targets, overwrite, context.signal);
    if (planned === undefined || planned.plan === null || planned.plan instanceof FleetError) return planned;
    return { ...planned, plan: about(planned.plan, ref) };
  };
  const planned = await ask(() => []);
  if (planned === undefined) return null;
  const { target } = planned;
  const held_back = target.desired.held_back.filter((each) => each.ref === ref);
  return {
    target: { ...target, desired: { ...target.desired, held_back } },
    plan: await withEdits(planned.plan, async () => (await ask(editable))?.plan ?? null),
  };
}

/** A hand edit that is left to people makes no step; what is different is seen as if it were to go. */
async function withEdits(
  plan: Planned["plan"],
  overwriting: () => Promise<Planned["plan"]>,
): Promise<Planned["plan"]> {
  if (plan === null || plan instanceof FleetError || plan.steps.length > 0 || plan.drift.length === 0)
    return plan;
  const other = await overwriting();
  return other === null || other instanceof FleetError ? plan : { ...plan, steps: other.steps };
}

function about(plan: Plan, ref: string): Plan {
  const mine = <T extends { ref: string }>(rows: readonly T[]): T[] => rows.filter((row) => row.ref === ref);
  const steps = mine(plan.steps);
  return {
    ...plan,
    steps,
    drift: mine(plan.drift),
    waiting: mine(plan.waiting),
    left: mine(plan.left),
    ...(plan.refused === undefined ? {} : { refused: mine(plan.refused) }),
    notes: steps.length === 0 ? [] : plan.notes,
    guard: steps.length === 0 ? null : plan.guard,
  };
}
