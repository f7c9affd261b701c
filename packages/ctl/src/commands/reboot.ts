/**
 * `ctl reboot`: each host is drained, rebooted, waited for and undrained before the next one is touched, so never two that must not be away
 * together. What goes wrong stops it there, and leaves the host drained.
 */
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { Host } from "../apply/signed.ts";
import { untilBack } from "../maintenance/again.ts";
import { drainHost, WATCH_MS } from "../maintenance/drain.ts";
import { chosenHosts } from "../maintenance/host.ts";
import { turnDrain } from "../maintenance/switch.ts";
import { durationOf, durationText, listText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { type Connection, openSession, type Session } from "../session/session.ts";

const WITHIN_MS = 900_000;

type Wish = {
  readonly why: string;
  readonly within_ms: number;
  readonly wait_ms: number;
  readonly alone: boolean;
  readonly drain: boolean;
};

export const reboot = defineCommand({
  name: "reboot",
  args: "<selector>",
  options: {
    why: { flag: "--why <text>", help: "the reason, for everybody to read" },
    within: { flag: "--within <duration>", help: "how long each may take to be back: 15m" },
    wait: { flag: "--wait <duration>", help: "how long to watch the traffic fall: 5m" },
    alone: { flag: "--alone", help: "nobody else announces its prefixes, and that is meant" },
    with_traffic: { flag: "--with-traffic", help: "reboot with the traffic on it" },
  },
  example: `ctl reboot ixp1
ctl reboot 'core and not core1' --why "kernel 6.1.148"     one after the other`,
  async run(context, { args, options }) {
    const wish: Wish = {
      why: options.why ?? "reboot",
      within_ms: durationOf("--within", options.within) ?? WITHIN_MS,
      wait_ms: durationOf("--wait", options.wait) ?? WATCH_MS,
      alone: options.alone,
      drain: !options.with_traffic,
    };
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const hosts = await chosenHosts(context, connection, args[0] ?? "");
    const { output } = context;
    output.begin(session.fleet, session.person);
    const names = hosts.map(({ name }) => name);
    const order = hosts.length === 1 ? "" : ", one after the other";
    if (!(await output.confirm(`Reboot ${listText(names)}${order}?`))) return EXIT.failed;
    const done: { host: string; took_ms: number }[] = [];
    let failure: { host: string; error: FleetError } | null = null;
    for (const host of hosts) {
      const began = performance.now();
      try {
        await rebootOne(context, session, connection, host, wish);
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        failure = { host: host.name, error };
        break;
      }
      const took_ms = Math.round(performance.now() - began);
      done.push({ host: host.name, took_ms });
      output.line(`${output.colour.green(host.name)}  back after ${durationText(took_ms)}`);
    }
    const untouched = names.slice(done.length + (failure === null ? 0 : 1));
    if (failure !== null) {
      output.line(`${output.colour.red(failure.host)}  ${failure.error.message}      ctl status`);
      if (untouched.length > 0) output.line(`not touched: ${listText(untouched)}`);
    }
    output.json({
      done,
      failed: failure === null ? null : { host: failure.host, error: failure.error.toReply() },
      untouched,
    });
    if (context.signal.aborted) return EXIT.interrupted;
    if (failure === null) return EXIT.done;
    return done.length > 0 ? EXIT.partly : EXIT.failed;
  },
});

async function rebootOne(
  context: Context,
  session: Session,
  connection: Connection,
  host: Host,
  wish: Wish,
): Promise<void> {
  const { output, signal } = context;
  const standing = await callOne(connection, host.id, "status", {});
  // A host that somebody drained before stays drained.
  const ours = wish.drain && standing.convergence.drained == null && hasSessions(standing);
  if (ours) {
    const until = { why: wish.why, for_ms: wish.within_ms + wish.wait_ms };
    const drained = await drainHost(context, session, connection, host, { ...wish, ...until });
    if (drained === null) throw new FleetError("CANCELLED", `${host.name} was not drained`);
    if (!drained.safe)
      throw new FleetError("FAILED", `${host.name} still has traffic: it is drained, and was not rebooted`);
  }
  const progress = output.progress(`${host.name} reboots`);
  try {
    const { boot } = await callOne(connection, host.id, "reboot", { why: wish.why }, { signal });
    const back = () =>
      untilBack(connection, host, { boot, standing }, wish.within_ms, signal, (what) =>
        progress.update(`${host.name} reboots: waiting, ${what}`),
      );
    await back();
    if (!ours) return;
    await turnDrain(connection, host, { on: false, why: "", for_ms: null }, signal);
    // Those that the drain had disabled.
    await back();
  } finally {
    progress.done();
  }
}

const hasSessions = ({ bgp }: { bgp: { sessions: readonly unknown[] } | null }) =>
  (bgp?.sessions.length ?? 0) > 0;
