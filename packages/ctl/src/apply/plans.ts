/** Asks the hosts what they would do, all at once, and sorts the answers into what can go out. */
import { type Caller, callMany } from "@muster/ports/call";
import { alike } from "@muster/protocol/alike";
import { FleetError, parse } from "@muster/protocol/errors";
import { Plan } from "@muster/protocol/plan";
import type { RpcRequest } from "@muster/protocol/rpc/index";
import type { Target } from "./scope.ts";

export type Planned = {
  readonly target: Target;
  /** The host's plan; null when it was silent; an error when it refused or could not. */
  readonly plan: Plan | null | FleetError;
};

type Wanted = Pick<RpcRequest<"plan">, "content" | "content_hash">;

const NOT_HELD: ReadonlySet<string> = new Set(["NOT_FOUND", "INVALID"]);

/** Plans of all targets, in their order; a content that is signed already is asked about by its hash. `overwrite` are refs whose hand edits may go. Errors: those of the bus. */
export async function askPlans(
  caller: Caller,
  targets: readonly Target[],
  overwrite: (target: Target) => readonly string[],
  signal: AbortSignal,
): Promise<Planned[]> {
  const read = plansReader();
  const whole = targets.filter(({ changed }) => changed);
  const held = targets.filter(({ changed }) => !changed);
  const ask = (whom: readonly Target[], wanted: (target: Target) => Wanted) => {
    const by_id = new Map(whom.map((target) => [target.id, target]));
    const args = (id: string) => {
      const target = by_id.get(id);
      if (target === undefined) throw new TypeError("a host was asked that is no target");
      return { ...wanted(target), overwrite: [...overwrite(target)] };
    };
    return callMany(caller, [...by_id.keys()], "plan", args, { signal, read });
  };
  const content = ({ desired }: Target) => ({ content: desired.content });
  const [sent, named] = await Promise.all([
    ask(whole, content),
    ask(held, ({ desired }) => ({ content_hash: desired.content_hash })),
  ]);
  // Behind what was signed last, or an agent from before hashes could be asked about: it needs all of it.
  const behind = held.filter(({ id }) => NOT_HELD.has(named.failed.get(id)?.code ?? ""));
  const after = behind.length === 0 ? null : await ask(behind, content);
  const answerOf = (target: Target) => {
    const results = behind.includes(target) ? after : target.changed ? sent : named;
    return results?.answered.get(target.id) ?? results?.failed.get(target.id) ?? null;
  };
  return targets.map((target) => {
    const plan = answerOf(target);
    if (plan === null || plan instanceof FleetError) return { target, plan };
    // What is shown must be what is signed.
    if (plan.content_hash !== target.desired.content_hash || plan.host !== target.name) {
      return {
        target,
        plan: new FleetError("ALTERED", `${target.name} planned for other content than it was asked about`),
      };
    }
    return { target, plan };
  });
}

/** Hosts of a group plan alike, each under its own name: the rest of such plans is read once. */
function plansReader(): (reply: unknown, what: string) => Plan {
  const [Named, Rest] = [Plan.pick({ host: true }), Plan.omit({ host: true })];
  const restOf = alike(({ rest, what }: { rest: object; what: string }) => parse(Rest, rest, what));
  return (reply, what) => {
    const named = Named.safeParse(reply);
    if (!named.success) return parse(Plan, reply, what);
    const { host, ...rest } = reply as { host: string };
    return { host: named.data.host, ...restOf({ rest, what }) };
  };
}

/** Whether something is to be done for it: other content than signed, or steps that the host would take for the same. */
export const needsChange = ({ target, plan }: Planned): boolean =>
  target.changed || (plan !== null && !(plan instanceof FleetError) && plan.steps.length > 0);

/** Why a host takes none of it: it could not plan, or something declared is wrong for it. Null when it would. */
export function refusalOf({ plan }: Planned): FleetError | null {
  if (plan === null || plan instanceof FleetError) return plan;
  const [first] = plan.refused ?? [];
  return first === undefined ? null : new FleetError(first.error.code, `${first.ref}: ${first.error.detail}`);
}

/** What the host was told to do and does not, without anybody having asked it to hold off. */
export const waitingOf = ({ plan }: Planned): Plan["waiting"] =>
  plan === null || plan instanceof FleetError
    ? []
    : plan.waiting.filter(({ error }) => error !== undefined && error !== "HELD");

/** Those that can go out: the host planned it, or was silent and gets it when it is back. */
export const canGo = (planned: Planned): boolean => needsChange(planned) && refusalOf(planned) === null;

/** Whether somebody edited by hand what Muster leaves to people: the folder and the host do not agree. */
export const isEdited = ({ plan }: Planned): boolean =>
  plan !== null && !(plan instanceof FleetError) && plan.drift.some(({ action }) => action !== "corrected");
