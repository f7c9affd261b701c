/** `ctl events`: what happened, oldest first, and what happens from now on. */
import { callController } from "@muster/ports/call";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { EVENT_KINDS, type EventKind, FleetEvent } from "@muster/protocol/event";
import { HostName } from "@muster/protocol/names";
import { lateMs } from "@muster/protocol/streams";
import { patterns } from "@muster/protocol/subjects";
import type { HostEvent } from "@muster/view/model";
import { readDuration } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { eventLines } from "../report/event.ts";
import { type Connection, openSession } from "../session/session.ts";

const LAST_DEFAULT = 50;
const LAST_LIMIT = 1_000;

export const events = defineCommand({
  name: "events",
  options: {
    follow: { flag: "-f, --follow", help: "and go on, until ^C" },
    host: { flag: "--host <name>", help: "of one host; _ is the fleet" },
    kind: { flag: "--kind <kind>", help: EVENT_KINDS.join(", ") },
    last: { flag: "--last <n>", help: `how many at most (default ${LAST_DEFAULT})` },
    since: { flag: "--since <duration>", help: "not older than this: 2h" },
  },
  example: `ctl events --follow
ctl events --host ixp1 --kind session --since 1d`,
  async run(context, { options }) {
    const { output } = context;
    const limit = limitOf(options.last);
    const filter = filterOf(options.host, options.kind);
    const back_ms = options.since === undefined ? null : readDuration(options.since);
    if (back_ms === undefined)
      throw new FleetError("USAGE", `--since ${options.since}: must be like 2h or 1d`);
    const session = await openSession(context, { rank: "viewer" });
    if (options.follow && session.invited)
      throw new FleetError("UNSUPPORTED", "what is live is not for guests: leave --follow away");
    const connection = await session.connect();
    // Heard before the past is read, so that nothing falls between; what is in both is told once.
    const heard: HostEvent[] = [];
    let tell = (event: HostEvent): void => {
      heard.push(event);
    };
    if (options.follow) subscribe(connection, filter, (event) => tell(event));
    const since = back_ms === null ? null : context.now() - back_ms;
    const past = await kept(connection, { since, limit, filter }).catch((error: unknown) => {
      if (!options.follow || !(error instanceof FleetError) || !error.retryable) throw error;
      output.note(output.colour.amber("no controller answers: only what happens from now on"));
      return [];
    });
    if (!options.follow) {
      for (const each of past) for (const line of eventLines(each, output.colour)) output.line(line);
      if (past.length === 0) output.line("no events");
      output.json(past.map(asJson));
      return undefined;
    }
    const told = new Set(past.map(keyOf));
    for (const event of past) print(context, event);
    for (const event of heard) if (!told.has(keyOf(event))) print(context, event);
    tell = (event) => print(context, event);
    await new Promise<void>((resolve) => {
      context.signal.addEventListener("abort", () => resolve(), { once: true });
      if (context.signal.aborted) resolve();
    });
    return undefined;
  },
});

type Filter = { host?: string; kind?: EventKind };

function subscribe(connection: Connection, filter: Filter, tell: (event: HostEvent) => void): void {
  const subject =
    filter.host === "_" ? `event.*._.${filter.kind ?? "*"}` : patterns.event(filter.host, filter.kind);
  connection.bus.subscribe(subject, { concurrency: 1 }, (message) => {
    const [, , host = "_"] = message.subject.split(".");
    const event = parseJson(FleetEvent, message.body, `event of ${host}`);
    tell({ host, event, late_ms: lateMs(message.headers) || undefined });
  });
}

async function kept(
  connection: Connection,
  { since, limit, filter }: { since: number | null; limit: number; filter: Filter },
): Promise<HostEvent[]> {
  const { host, ...rest } = filter;
  if (host !== "_") return (await callController(connection, "events", { since, limit, ...filter })).events;
  // The fleet is no host to the controllers: its events are picked out here.
  const all = await callController(connection, "events", { since, limit: LAST_LIMIT, ...rest });
  return all.events.filter((event) => event.host === "_").slice(-limit);
}

const asJson = ({ host, event, late_ms }: HostEvent) => ({ host, ...event, late_ms });

/** With `--json` each event is a JSON value of its own. */
function print({ output }: Context, event: HostEvent): void {
  output.json(asJson(event));
  for (const line of eventLines(event, output.colour)) output.line(line);
}

const keyOf = ({ host, event }: HostEvent) => `${host} ${event.at} ${event.kind} ${event.what}`;

function limitOf(typed: string | undefined): number {
  if (typed === undefined) return LAST_DEFAULT;
  const limit = Number(typed);
  if (!Number.isInteger(limit) || limit < 1 || limit > LAST_LIMIT)
    throw new FleetError("USAGE", `--last ${typed}: must be a number from 1 to ${LAST_LIMIT}`);
  return limit;
}

function filterOf(host: string | undefined, kind: string | undefined): Filter {
  if (host !== undefined && host !== "_" && !HostName.safeParse(host).success)
    throw new FleetError("USAGE", `--host ${host}: that is no host's name`);
  const found = EVENT_KINDS.find((each) => each === kind);
  if (kind !== undefined && found === undefined)
    throw new FleetError("USAGE", `--kind ${kind}: must be one of ${EVENT_KINDS.join(", ")}`);
  return { ...(host === undefined ? {} : { host }), ...(found === undefined ? {} : { kind: found }) };
}
