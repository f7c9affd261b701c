/** `ctl silence`: nobody is told of some hosts' alerts for a while; who silenced what; and the end of it. What is wrong is shown all the same. */
import { callController } from "@muster/ports/call";
import { FLEET_WIDE, SILENCE_LONGEST_MS } from "@muster/protocol/alert";
import { FleetError } from "@muster/protocol/errors";
import { durationOf, durationText, listText, timeText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { silenceLines, silencesLeftOutText } from "../report/alerts.ts";
import { chooseHosts, glances } from "../roster/roster.ts";
import { type Connection, openSession, type Session } from "../session/session.ts";

export const silence = defineCommand({
  name: "silence",
  args: "[selector]",
  options: {
    for: { flag: "--for <duration>", help: "how long: 2h, at most 30d" },
    why: { flag: "-m, --why <text>", help: "the reason, for everybody to read" },
    about: {
      flag: "--about <what>",
      help: "only this, as ctl alerts --json calls it: 'session/*'",
      many: true,
    },
    end: { flag: "--end <id>", help: "end one before its time" },
  },
  example: `ctl silence ixp1 --for 2h -m "switch swap"
ctl silence ixp --about 'session/*' --for 30m -m "exchange maintenance"
ctl silence                    who silenced what
ctl silence --end 3fa90c11`,
  async run(context, { args, options }) {
    const [selector] = args;
    const wished = selector !== undefined;
    if (wished && (options.for === undefined || options.why === undefined || options.end !== undefined))
      throw new FleetError("USAGE", `ctl silence ${selector} --for 2h -m "why"`);
    if (!wished && (options.for !== undefined || options.why !== undefined || options.about.length > 0))
      throw new FleetError("USAGE", 'whom? ctl silence HOST --for 2h -m "why"');
    const changes = wished || options.end !== undefined;
    const session = await openSession(context, { rank: changes ? "operator" : "viewer" });
    if (options.end !== undefined) return end(context, session, options.end);
    if (selector === undefined) return list(context, session);
    const { output } = context;
    const for_ms = durationOf("--for", options.for) ?? 0;
    if (for_ms < 60_000 || for_ms > SILENCE_LONGEST_MS)
      throw new FleetError("USAGE", `--for ${options.for}: must be 1m to 30d`);
    const connection = await session.connect();
    const chosen = await chooseHosts(context, async () => connection, selector);
    const everyone = selector === "all" && context.global.not === undefined;
    const never = await neverJoined(connection, everyone ? null : chosen.not_enrolled);
    const hosts = [...chosen.hosts.map(({ name }) => name), ...never];
    if (hosts.length === 0)
      throw new FleetError(
        "NOT_FOUND",
        `no host that controllers know of is ${selector}: ctl apply tells them`,
      );
    output.begin(session.fleet, session.person);
    const made = await callController(connection, "silence", {
      selector,
      hosts: selector === "all" ? [...hosts, FLEET_WIDE] : hosts,
      about: options.about.length > 0 ? [...options.about] : ["*"],
      why: options.why ?? "",
      for_ms,
    });
    const { id, until, about } = made.silence;
    const what = about.includes("*") ? "" : ` about ${listText(about)}`;
    output.line(
      `${listText(hosts)}${what}: nobody is told for ${durationText(for_ms)}, until ${timeText(until)}`,
    );
    const untold = chosen.not_enrolled.filter((name) => !never.includes(name));
    if (untold.length > 0)
      output.note(`not enrolled, and controllers know nothing of it: ${listText(untold)}`);
    output.note(`end it before: ctl silence --end ${id}`);
    output.json(made.silence);
    return EXIT.done;
  },
});

/** Hosts that are an alert because no machine ever joined as them; of `names`, null = all. Errors: as `glances`. */
async function neverJoined(connection: Connection, names: readonly string[] | null): Promise<string[]> {
  if (names?.length === 0) return [];
  const known = await glances(connection);
  if ("silence" in known) throw known.silence;
  const wanted = names === null ? null : new Set(names);
  return known.missing.map(({ name }) => name).filter((name) => wanted?.has(name) ?? true);
}

async function list(context: Context, session: Session): Promise<number> {
  const { output } = context;
  const found = await callController(await session.connect(), "alerts", { hosts: [] });
  const { silences, silences_left_out: left_out = 0, now } = found;
  for (const line of silenceLines(silences, now)) output.line(line);
  if (left_out > 0) output.line(silencesLeftOutText(left_out));
  if (silences.length === 0) output.line("nothing is silenced");
  output.json(silences);
  return EXIT.done;
}

async function end(context: Context, session: Session, id: string): Promise<number> {
  const { output } = context;
  output.begin(session.fleet, session.person);
  const { ended } = await callController(await session.connect(), "unsilence", { id });
  if (!ended) throw new FleetError("NOT_FOUND", `no silence ${id.slice(0, 40)}: ctl silence`);
  output.line(`silence ${id} is over`);
  output.json({ id, ended });
  return EXIT.done;
}
