/** The three steps of a drain, for `drain` and `reboot`: what would be lost, the switch, the traffic that falls. */
import { FleetError } from "@muster/protocol/errors";
import type { Host } from "../apply/signed.ts";
import { withNext } from "../output/error.ts";
import { countText, listText, timeText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import type { Connection, Session } from "../session/session.ts";
import { canDrain } from "./announced.ts";
import { type Surroundings, surroundings } from "./host.ts";
import { turnDrain } from "./switch.ts";
import { external, interfacesOf, isQuiet, measure, trafficText } from "./traffic.ts";

export const WATCH_MS = 300_000;

export type DrainWish = {
  readonly why: string;
  readonly for_ms: number | null;
  /** That nobody else announces its prefixes is meant. */
  readonly alone: boolean;
  readonly wait_ms: number;
};

export type Drained = {
  readonly alone: readonly string[];
  readonly sessions: readonly string[];
  readonly before: ReadonlyMap<string, number>;
  readonly now: ReadonlyMap<string, number>;
  /** The traffic fell. */
  readonly safe: boolean;
};

/** Null when the person does not want it. Errors: UNSUPPORTED, and as `turnDrain`. */
export async function drainHost(
  context: Context,
  session: Session,
  connection: Connection,
  host: Host,
  wish: DrainWish,
): Promise<Drained | null> {
  const { output, signal } = context;
  const around = await surroundings(context, session, connection, host);
  requireDrainable(host, around);
  const sessions = external(around.standing.bgp);
  const names = await interfacesOf(connection, host, sessions);
  const before = await measure(connection, host, names, signal);
  if (!(await agreed(context, host, around.alone, wish.alone))) return null;
  const progress = output.progress(`${host.name} drains`);
  const turn = { on: true, why: wish.why, for_ms: wish.for_ms };
  await turnDrain(connection, host, turn, signal, ({ state, undo_at }) => {
    progress.update(`${host.name} ${state}${undo_at === null ? "" : `, guarded until ${timeText(undo_at)}`}`);
  }).finally(() => progress.done());
  output.line(`2/3 GRACEFUL_SHUTDOWN on ${countText(sessions.length, "session")}`);
  const { quiet, now } = await watchFall(context, connection, host, before, wish.wait_ms);
  return { alone: around.alone, sessions: sessions.map(({ name }) => name), before, now, safe: quiet };
}

/** Errors: UNSUPPORTED with what would make it possible. */
function requireDrainable({ name }: Host, { bird }: Pick<Surroundings, "bird">): void {
  if (bird === null) throw new FleetError("UNSUPPORTED", `${name} has no BIRD that Muster manages`);
  if (canDrain(bird)) return;
  throw withNext(
    new FleetError(
      "UNSUPPORTED",
      `the bird.conf of ${name} lacks the line include "/etc/bird/muster.conf"; without it sessions can only be disabled, which resets them`,
    ),
    `on the host: birdc 'disable SESSION "maintenance"'`,
  );
}

/** Step 1: what would be lost with it, and whether that is meant. */
async function agreed(
  context: Context,
  host: Host,
  alone: readonly string[],
  meant: boolean,
): Promise<boolean> {
  const { output } = context;
  if (alone.length === 0) {
    output.line("1/3 each of its prefixes is announced elsewhere too");
    return output.confirm(`Drain ${host.name}?`);
  }
  const warning = `1/3 nobody else announces ${listText(alone)}`;
  if (!meant) return output.confirmTyped(warning, host.name);
  output.line(warning);
  return true;
}

/** Step 3. `^C` stops the watching only. */
async function watchFall(
  { output, signal }: Context,
  connection: Connection,
  host: Host,
  before: ReadonlyMap<string, number>,
  wait_ms: number,
): Promise<{ quiet: boolean; now: ReadonlyMap<string, number> }> {
  const names = new Set(before.keys());
  const end_ms = performance.now() + wait_ms;
  const progress = output.progress("3/3 watching the traffic fall");
  try {
    for (;;) {
      const now = await measure(connection, host, names, signal);
      const quiet = isQuiet(before, now);
      const text = `3/3 ${trafficText(before, now)}`;
      if (!quiet && performance.now() < end_ms) {
        progress.update(text);
        continue;
      }
      progress.done();
      output.line(quiet ? `${text}: safe` : `${text}: NOT SAFE, some neighbours do not heed it`);
      return { quiet, now };
    }
  } finally {
    progress.done();
  }
}
