/** The rollout that is under way, or was the last: watched again after a `^C`, or stopped. */
import { callController } from "@muster/ports/call";
import { loadEnvelope } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { openRelease } from "@muster/protocol/release";
import { timeText } from "../output/words.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { outcomeLine } from "../report/outcome.ts";
import type { Session } from "../session/session.ts";
import { progressText, sayHowToGoOn } from "./order.ts";
import { exitOf, Outcomes } from "./outcome.ts";
import { watchRollout } from "./watch.ts";

/** Watches the newest rollout to its end, after stopping it with `abort`. Errors: NOT_FOUND when there never was one. */
export async function watchNewest(context: Context, session: Session, abort: boolean): Promise<number> {
  const { output } = context;
  const connection = await session.connect();
  const head = await callController(connection, "head", {});
  if (head.rollout === null || head.release === null)
    throw new FleetError("NOT_FOUND", "there was no rollout yet");
  const { release, by } = openRelease(head.rollout, loadEnvelope(head.release), session.verifier);
  let { rollout } = await callController(connection, "rollout", { rollout: release.id });
  if (rollout === null)
    throw new FleetError("NOT_FOUND", `the controllers no longer keep rollout ${release.id}`);
  output.begin(session.fleet, session.person);
  output.line(
    `generation ${release.generation} by ${by}, ${timeText(rollout.started_at)}${release.message === "" ? "" : `: ${release.message}`}`,
  );
  if (abort && rollout.state === "running") {
    if (!(await output.confirm("Stop it? Hosts that have not begun stay as they are."))) return EXIT.failed;
    ({ rollout } = await callController(connection, "abort", { rollout: release.id }));
  }
  const outcomes =
    rollout.state === "running"
      ? await follow(context, connection, release, rollout)
      : new Outcomes(release, new Map());
  if (outcomes === null) return EXIT.interrupted;
  ({ rollout } = await callController(connection, "rollout", { rollout: release.id }));
  if (rollout === null) throw new FleetError("NOT_FOUND", `rollout ${release.id} is gone`);
  outcomes.told(rollout, 0);
  for (const [name, progress] of outcomes.hosts) output.line(outcomeLine(name, progress, output.colour));
  if (rollout.state !== "running")
    output.line(`${rollout.state}${rollout.detail === "" ? "" : `: ${rollout.detail}`}`);
  output.json({
    generation: release.generation,
    rollout: release.id,
    state: rollout.state,
    hosts: Object.fromEntries(outcomes.hosts),
  });
  return exitOf([...outcomes.hosts.values()].map(({ outcome }) => outcome));
}

async function follow(
  context: Context,
  connection: Parameters<typeof watchRollout>[0]["caller"],
  release: Parameters<typeof watchRollout>[0]["release"],
  rollout: Parameters<Outcomes["told"]>[0],
): Promise<Outcomes | null> {
  const progress = context.output.progress("watching");
  const watch = watchRollout({
    caller: connection,
    release,
    before: new Map(),
    now: context.now,
    signal: context.signal,
    changed: (_name, outcomes) => progress.update(() => progressText(outcomes)),
  });
  watch.told(rollout);
  try {
    return await watch.ended();
  } catch (error) {
    if (!(error instanceof FleetError && error.code === "CANCELLED" && context.signal.aborted)) throw error;
    progress.done();
    sayHowToGoOn(context, true);
    return null;
  } finally {
    progress.done();
    watch.close();
  }
}
