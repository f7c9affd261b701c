/** Orders a signed release and watches it to its end, telling of every host as its outcome comes. */
import { FleetError } from "@muster/protocol/errors";
import { withNext } from "../output/error.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { outcomeLine } from "../report/outcome.ts";
import type { Connection } from "../session/session.ts";
import { handOver } from "./hand-over.ts";
import type { HostOutcome, Outcomes } from "./outcome.ts";
import type { Ground } from "./prepare.ts";
import type { SignedRelease } from "./sign.ts";
import { watchRollout } from "./watch.ts";

/** Orders the release and watches it; `again` when it was overtaken, an exit code when the person stopped watching. */
export async function order(
  context: Context,
  connection: Connection,
  ground: Ground,
  signed: SignedRelease,
  contents: ReadonlyMap<string, Uint8Array>,
  last_try: boolean,
): Promise<Outcomes | "again" | number> {
  const { output } = context;
  const progress = output.progress(`generation ${signed.release.generation}: handing over`);
  let ordered = false;
  const watch = watchRollout({
    caller: connection,
    release: signed.release,
    before: ground.said,
    now: context.now,
    signal: context.signal,
    changed: (name, outcomes) => {
      progress.update(() => `generation ${signed.release.generation}: ${progressText(outcomes)}`);
      const now = outcomes.hosts.get(name);
      const over = now !== undefined && now.outcome !== "waiting" && now.outcome !== "under way";
      if (over && now.error !== "CONFLICT") output.line(outcomeLine(name, now, output.colour));
    },
  });
  try {
    await handOver(connection, signed, contents, (what) => progress.update(what));
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
export function progressText({ hosts }: Outcomes): string {
  const outcomes = [...hosts.values()].map(({ outcome }) => outcome);
  const count = (outcome: HostOutcome) => outcomes.filter((each) => each === outcome).length;
  const rest = (
    ["under way", "waiting", "undone", "failed", "refused", "returned", "silent"] as const
  ).flatMap((outcome) => (count(outcome) > 0 ? [`${count(outcome)} ${outcome}`] : []));
  return [`${count("converged")} of ${hosts.size} converged`, ...rest].join(", ");
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
