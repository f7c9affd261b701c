/** `ctl bgp`: every session of the chosen hosts, red first; or one session explained. */
import { FleetError } from "@muster/protocol/errors";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import { type Drains, drainsOf, judgedWith } from "@muster/view/drained";
import { daemonFault, isRed, matches, routeCount, type SessionRow, sortedRows } from "@muster/view/sessions";
import { suggest } from "../inventory/problem.ts";
import { countText, durationOf } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { wideLines } from "../report/details.ts";
import { diagnosisLines } from "../report/diagnosis.ts";
import { pastLines } from "../report/past.ts";
import { sessionColumns } from "../report/sessions.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";
import { glances } from "../roster/roster.ts";
import { type SessionPast, sessionPast } from "../roster/session-past.ts";
import type { Session } from "../session/session.ts";

/** Units that are not called as their daemon. */
const UNITS: Readonly<Record<string, string>> = { gobgp: "gobgpd" };
/** Routes are kept for two days. */
const PAST_MS = 86_400_000;

export const bgp = defineCommand({
  name: "bgp",
  args: "[selector] [session]",
  options: {
    down: { flag: "--down", help: "only what is red" },
    flapping: { flag: "--flapping", help: "only what went down in the last hour" },
    unexpected: { flag: "--unexpected", help: "only what nobody declared" },
    since: { flag: "--since <duration>", help: "of one session: its routes since then (default 1d)" },
  },
  example: `ctl bgp --down                 every session that should be up and is not
ctl bgp ixp1 upstream          why it is down: the daemon's words, the peer's, the way there, how it came and went; -o wide: timers, counters
ctl bgp ixp1 upstream --since 2h --json
ctl bgp ixp -o wide`,
  async run(context, { args, options }) {
    const [selector = "all", session] = args;
    const back_ms = durationOf("--since", options.since);
    if (back_ms !== undefined && session === undefined)
      throw new FleetError("USAGE", "--since is of one session: ctl bgp HOST SESSION --since 2h");
    if (session !== undefined)
      return diagnose(context, selector, session, context.now() - (back_ms ?? PAST_MS));
    const { output } = context;
    const asked = await askHosts(context, selector, "bgp", {});
    const told = asked.answered.flatMap(({ reply }) => reply.sample.sessions);
    const drains = await drainsFor(context, asked.session, told);
    const rows = asked.answered.flatMap(({ name, reply }): SessionRow[] =>
      judgedWith(drains, name, reply.sample.sessions).map((each) => ({ host: name, session: each })),
    );
    const faults = asked.answered.flatMap(({ name, reply }) => {
      // A host that has no session to be up needs no BIRD.
      const fault = reply.sample.sessions.length === 0 ? null : daemonFault(reply.sample, context.now());
      return fault === null ? [] : [{ name, fault, daemon: reply.sample.daemon.name }];
    });
    const shown = sortedRows(rows.filter(({ session: each }) => matches(each, options)));
    if (shown.length > 0) output.table(shown, sessionColumns(context.now(), output.colour));
    else if (asked.answered.length > 0)
      output.line(
        rows.length > 0 ? `none of ${countText(rows.length, "session")}` : "no sessions, declared or seen",
      );
    for (const { name, reply } of asked.answered) {
      const { left_out } = reply.sample;
      if (left_out !== null && !options.down && !options.flapping && !options.unexpected)
        output.note(
          `${name}: ${countText(left_out.up + left_out.other + left_out.red, "session")} more than fit, ${left_out.up} of them up, ${left_out.red} red`,
        );
      for (const { colour, what, session: of } of reply.sample.faults)
        if (!options.unexpected && (!options.down || colour === "red"))
          output.line(
            `${output.colour[colour](name)}  ${what}${of === null ? "" : `      ctl bgp ${name} ${of}`}`,
          );
    }
    for (const { name, fault, daemon } of faults)
      output.line(
        `${output.colour.red(name)}  ${fault}      on the host: systemctl status ${UNITS[daemon] ?? daemon}`,
      );
    tellMissing(context, asked);
    for (const { host, session: each } of shown.filter((row) => isRed(row.session)).slice(0, 3))
      output.note(`why: ctl bgp ${host} ${each.name}`);
    output.json({
      sessions: shown.map(({ host, session: each }) => ({ host, ...each })),
      faults,
      beside: Object.fromEntries(
        asked.answered.map(({ name, reply }) => {
          const { sessions: _sessions, ...beside } = reply.sample;
          return [name, beside];
        }),
      ),
      ...missingJson(asked),
    });
    const grave = asked.answered.some(
      ({ reply }) =>
        (reply.sample.left_out?.red ?? 0) > 0 || reply.sample.faults.some(({ colour }) => colour === "red"),
    );
    const red = faults.length > 0 || grave || rows.some((row) => isRed(row.session));
    const exit = askedExit(asked);
    return exit === 0 && red ? 1 : exit;
  },
});

async function diagnose(context: Context, selector: string, name: string, since: number): Promise<number> {
  const { output } = context;
  const asked = await askHosts(context, selector, "bgp", { session: name });
  const [first] = asked.answered;
  const unknown = asked.failed.find(({ error }) => error.code === "NOT_FOUND");
  if (unknown !== undefined) throw new FleetError("USAGE", `${unknown.name} has no ${unknown.error.detail}`);
  if (first === undefined || asked.answered.length > 1) {
    tellMissing(context, asked);
    if (asked.answered.length > 1)
      throw new FleetError("USAGE", `${selector} is more than one host: name one before the session`);
    output.json(missingJson(asked));
    return askedExit(asked) || 5;
  }
  const { sample, path } = first.reply;
  const [drains, past] = await Promise.all([
    drainsFor(context, asked.session, sample.sessions),
    pastOf(context, asked.session, first.name, name, since),
  ]);
  const session = judgedWith(drains, first.name, sample.sessions).find((each) => each.name === name);
  if (session === undefined) {
    const fault = daemonFault(sample, context.now());
    if (fault !== null) throw new FleetError("BIRD_UNREACHABLE", `${first.name}: ${fault}`);
    throw new FleetError(
      "USAGE",
      `${first.name} has no session ${name}${suggest(
        name,
        sample.sessions.map((each) => each.name),
      )}`,
    );
  }
  const now = context.now();
  for (const line of diagnosisLines({ sample, session, path }, now, output.colour)) output.line(line);
  if (past === null) output.note(output.colour.amber("its past is not known: no controller answers"));
  else {
    const routes = [...past.routes, { at: now, imported: routeCount(session, "imported") }];
    for (const line of pastLines({ ...past, routes }, now, output.colour)) output.line(line);
  }
  if (output.form === "wide") for (const line of wideLines(session)) output.line(line);
  const { daemon, bfd, faults } = sample;
  const own_bfd = bfd.filter(({ address }) => address === session.neighbor_address);
  output.json({ host: first.name, session, daemon, bfd: own_bfd, faults, path, past });
  return isRed(session) ? 1 : 0;
}

/** Whose drain explains a red session; nobody is asked while none is red, and without a controller nobody knows. */
async function drainsFor(
  context: Context,
  session: Session,
  sessions: readonly BgpSession[],
): Promise<Drains> {
  if (!sessions.some(isRed)) return new Map();
  const known = await glances(await session.connect());
  if ("silence" in known) return new Map();
  const hosts = [...known.hosts.values()].flatMap((glance) =>
    "view" in glance ? [{ name: glance.name, convergence: glance.view.convergence }] : [],
  );
  return drainsOf(hosts, context.now());
}

/** Null when there is nobody to ask: what is now stands without it. */
async function pastOf(
  context: Context,
  session: Session,
  host: string,
  name: string,
  since: number,
): Promise<SessionPast | null> {
  try {
    const asked = { host, session: name, since, now: context.now() };
    return await sessionPast(await session.connect(), asked);
  } catch (error) {
    if (error instanceof FleetError) return null;
    throw error;
  }
}
