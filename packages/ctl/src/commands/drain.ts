/**
 * `ctl drain`: takes the traffic off a host before it is touched. Its sessions stay up, and what it announces carries GRACEFUL_SHUTDOWN (RFC 8326);
 * where bird.conf has no drain constant they can only be disabled.
 */
import { drainHost, WATCH_MS } from "../maintenance/drain.ts";
import { oneHost } from "../maintenance/host.ts";
import { durationOf } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { openSession } from "../session/session.ts";

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
    const for_ms = durationOf("--for", options.for) ?? null;
    const wait_ms = durationOf("--wait", options.wait) ?? WATCH_MS;
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const host = await oneHost(context, connection, args[0] ?? "");
    const { output } = context;
    output.begin(session.fleet, session.person);
    const wish = { why: options.why, for_ms, alone: options.alone, wait_ms };
    const drained = await drainHost(context, session, connection, host, wish);
    if (drained === null) return EXIT.failed;
    output.json({
      host: host.name,
      why: options.why,
      how: drained.how,
      alone: drained.alone,
      sessions: drained.sessions,
      bits_before: Object.fromEntries(drained.before),
      bits_now: Object.fromEntries(drained.now),
      safe: drained.safe,
    });
    output.note(`when you are done: ctl undrain ${host.name}`);
    return drained.safe ? EXIT.done : EXIT.partly;
  },
});
