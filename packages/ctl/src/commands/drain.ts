/** `ctl drain`: takes the traffic off a host before it is touched. Its sessions stay up, and what it announces carries GRACEFUL_SHUTDOWN (RFC 8326). */
import { FleetError } from "@muster/protocol/errors";
import type { Host } from "../apply/signed.ts";
import { canDrain } from "../maintenance/announced.ts";
import { oneHost, type Surroundings, surroundings } from "../maintenance/host.ts";
import { turnDrain } from "../maintenance/switch.ts";
import { external, interfacesOf, isQuiet, measure, trafficText } from "../maintenance/traffic.ts";
import { withNext } from "../output/error.ts";
import { countText, listText, readDuration, timeText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { type Connection, openSession } from "../session/session.ts";

const WAIT_MS = 300_000;

export const drain = defineCommand({
  name: "drain",
  args: "<host>",
  options: {
    why: { flag: "--why <text>", help: "the reason, for everybody to read", required: true },
    for: { flag: "--for <duration>", help: "when it should be over: past that it alarms, and stays drained" },
    alone: { flag: "--alone", help: "nobody else announces its prefixes, and that is meant" },
    wait: { flag: "--wait <duration>", help: "how long to watch the traffic fall: 5m" },
  },
  example: `ctl drain ixp1 --why "switch swap" --for 2h
ctl undrain ixp1`,
  async run(context, { args, options }) {
    const for_ms = durationOf("--for", options.for);
    const wait_ms = durationOf("--wait", options.wait) ?? WAIT_MS;
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const host = await oneHost(context, connection, args[0] ?? "");
    const { output } = context;
    output.begin(session.fleet, session.person);
    const around = await surroundings(context, session, connection, host);
    requireDrainable(host, around);
    const sessions = external(around.standing.bgp);
    const names = await interfacesOf(connection, host, sessions);
    const before = await measure(connection, host, names, context.signal);
    if (!(await agreed(context, host, around.alone, options.alone))) return EXIT.failed;
    const progress = output.progress(`${host.name} drains`);
    try {
      await turnDrain(
        connection,
        host,
        { on: true, why: options.why, for_ms },
        context.signal,
        ({ state, undo_at }) =>
          progress.update(
            `${host.name} ${state}${undo_at === null ? "" : `, guarded until ${timeText(undo_at)}`}`,
          ),
      );
    } finally {
      progress.done();
    }
    output.line(`2/3 GRACEFUL_SHUTDOWN on ${countText(sessions.length, "session")}`);
    const fallen = await watchFall(context, connection, host, before, wait_ms);
    output.json({
      host: host.name,
      why: options.why,
      until: for_ms === null ? null : context.now() + for_ms,
      alone: around.alone,
      sessions: sessions.map(({ name }) => name),
      bits_before: Object.fromEntries(before),
      bits_now: Object.fromEntries(fallen.now),
      safe: fallen.quiet,
    });
    output.note(`when you are done: ctl undrain ${host.name}`);
    return fallen.quiet ? EXIT.done : EXIT.partly;
  },
});

export function durationOf(flag: string, typed: string | undefined): number | null {
  if (typed === undefined) return null;
  const duration_ms = readDuration(typed);
  if (duration_ms === undefined) throw new FleetError("USAGE", `${flag} ${typed}: must be like 2h`);
  return duration_ms;
}

/** Errors: UNSUPPORTED with what would make it possible. */
export function requireDrainable({ name }: Host, { bird }: Pick<Surroundings, "bird">): void {
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
