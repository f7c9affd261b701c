/** The three steps of a drain, for `drain` and `reboot`: what would be lost, the switch, the traffic that falls. */
import { FleetError } from "@muster/protocol/errors";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import type { Host } from "../apply/signed.ts";
import { countText, listText, timeText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import type { Connection, Session } from "../session/session.ts";
import { drainsGracefully } from "./announced.ts";
import { surroundings } from "./host.ts";
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
  /** Sessions stay up and say so, or could only be disabled. */
  readonly how: "graceful" | "disabled";
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
  if (around.bird === null)
    throw new FleetError("UNSUPPORTED", `${host.name} has no BIRD that Muster manages`);
  const how = drainsGracefully(around.bird) ? "graceful" : "disabled";
  const sessions = external(around.standing.bgp);
  const names = await interfacesOf(connection, host, sessions);
  const before = await measure(connection, host, names, signal);
  if (how === "disabled" && !(await agreedToDisable(context, host, sessions))) return null;
  if (!(await agreed(context, host, around.alone, wish.alone, how === "disabled"))) return null;
  const progress = output.progress(`${host.name} drains`);
  const disable = how === "disabled" ? { disable: true as const } : {};
  const turn = { on: true, why: wish.why, for_ms: wish.for_ms, ...disable };
  await turnDrain(connection, host, turn, signal, ({ state, undo_at }) => {
    progress.update(`${host.name} ${state}${undo_at === null ? "" : `, guarded until ${timeText(undo_at)}`}`);
  }).finally(() => progress.done());
  const counted = countText(sessions.length, "session");
  output.line(how === "graceful" ? `2/3 GRACEFUL_SHUTDOWN on ${counted}` : `2/3 disabled ${counted}`);
  const { quiet, now } = await watchFall(context, connection, host, before, wish.wait_ms);
  return { how, alone: around.alone, sessions: sessions.map(({ name }) => name), before, now, safe: quiet };
}

/** Whatever else was meant: a drain that takes sessions down is another thing. */
function agreedToDisable({ output }: Context, host: Host, sessions: readonly BgpSession[]): Promise<boolean> {
  const names = listText(sessions.map(({ name }) => name));
  output.line(
    `${host.name}  bird.conf lacks the line include "/etc/bird/muster.conf": its sessions with other networks can only be disabled`,
  );
  return output.confirm(names === "" ? "Disable them? None is up" : `Disable them? ${names} go down`);
}

/** Step 1: what would be lost with it, and whether that is meant. */
async function agreed(
  context: Context,
  host: Host,
  alone: readonly string[],
  meant: boolean,
  asked: boolean,
): Promise<boolean> {
  const { output } = context;
  if (alone.length === 0) {
    output.line("1/3 each of its prefixes is announced elsewhere too");
    return asked || output.confirm(`Drain ${host.name}?`);
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
