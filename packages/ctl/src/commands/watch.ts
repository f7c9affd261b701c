/** `ctl watch`: the fleet as it is, in the terminal, as long as it is looked at. Subscribes to what hosts tell anyway; only a rollout that runs is asked for again. */
import { callController } from "@muster/ports/call";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { FleetEvent } from "@muster/protocol/event";
import { patterns } from "@muster/protocol/subjects";
import { TELEMETRY } from "@muster/protocol/telemetry/index";
import type { HostEvent } from "@muster/view/model";
import { FleetModel, isTold, type Told } from "@muster/view/model";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { type Connection, openSession, type Session } from "../session/session.ts";
import { Again } from "../watch/again.ts";
import { act, readKeys, START, type Ui } from "../watch/keys.ts";
import { newestRollout } from "../watch/rollout.ts";
import { openScreen } from "../watch/screen.ts";
import { type Frame, frameOf } from "../watch/view.ts";
import { look, signedGenerations, status } from "./status.ts";

/** Times in a frame go on by themselves. */
const CLOCK_MS = 1_000;
/** However much is told, this often at most. */
const FRAME_MS = 100;
const EVENTS_AT_FIRST = 200;
const NOTE_MS = 10_000;
/** How a rollout that runs stands is asked this often at most. */
const ROLLOUT_MS = 2_000;

/** What was told does this to the model, and is of this kind of telemetry or events. */
type Take = (change: (model: FleetModel) => void, kind: string) => void;

export const watch = defineCommand({
  name: "watch",
  args: "[selector]",
  example: `ctl watch                  hosts, sessions, events, rollouts, load and checks as they change; ? for the keys
ctl watch ixp              a group
ctl watch | cat            where nobody looks: as ctl status, with its exit code`,
  async run(context, input) {
    if (!isLookedAt(context)) return status.run?.(context, input as never);
    await watchLive(context, input.args[0] ?? "all", START);
    return undefined;
  },
});

/** Somebody is at a terminal, and wants no form for scripts. */
export function isLookedAt({ terminal, output }: Context): boolean {
  const terminals = terminal.stdout.isTTY === true && terminal.stdin.isTTY === true;
  return terminals && (output.form === "table" || output.form === "wide");
}

/** Shows the fleet until the person ends it, beginning as `ui` says. Errors: UNSUPPORTED for guests, USAGE, those of the bus. */
export async function watchLive(context: Context, selector: string, ui: Ui): Promise<void> {
  const session = await openSession(context, { rank: "viewer" });
  if (session.invited) throw new FleetError("UNSUPPORTED", "what is live is not for guests: ctl status");
  const connection = await session.connect();
  const everybody = selector === "all" && context.global.not === undefined;
  // Heard from here on, so that nothing falls between what was and what comes.
  const heard: ((model: FleetModel) => void)[] = [];
  let take: Take = (change) => {
    heard.push(change);
  };
  // By the controllers' clock, by which hosts are judged: ours may be wrong by hours.
  let ahead_ms = 0;
  const now = () => context.now() - ahead_ms;
  subscribe(connection, now, (change, kind) => take(change, kind));
  const [found, events, rollout] = await Promise.all([
    look(context, session, connection, selector, true),
    pastEvents(connection),
    newestRollout(session, connection, null),
  ]);
  const model = new FleetModel(
    session.fleet,
    session.person,
    everybody ? null : new Set(found.hosts.map(({ name }) => name)),
  );
  ahead_ms = context.now() - found.now_ms;
  model.begin(found.hosts, events, found.drained);
  model.rollout = rollout;
  for (const change of heard) change(model);
  const notes = [...(found.controller === null ? [] : [found.controller]), ...found.notes];
  await show({ ...context, now }, session, connection, model, notes, ui, (next) => {
    take = next;
  });
}

/** Until the person ends it. */
function show(
  context: Context,
  session: Session,
  connection: Connection,
  model: FleetModel,
  notes: readonly string[],
  begin: Ui,
  onChange: (take: Take) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let ui: Ui = begin;
    let frame: Frame | null = null;
    let note: string | null = notes[0] ?? null;
    let pending: NodeJS.Timeout | null = null;
    let over = false;
    const guarded =
      <A extends unknown[]>(work: (...all: A) => void) =>
      (...all: A) => {
        try {
          work(...all);
        } catch (error) {
          end(error);
        }
      };
    const paint = guarded(() => {
      if (pending !== null) clearTimeout(pending);
      pending = null;
      frame = frameOf(model, ui, screen.size, context.now(), context.output.colour, note);
      screen.draw(frame.lines);
    });
    const soon = () => {
      if (over) return;
      pending ??= setTimeout(paint, FRAME_MS);
    };
    const screen = openScreen(context.terminal, {
      keys: guarded((text: string) => {
        for (const key of readKeys(text)) {
          ui = act(ui, key, frame?.rows ?? [], frame?.page ?? 1);
          if (ui.over) return end();
          // The next key goes by what this one changed.
          frame = frameOf(model, ui, screen.size, context.now(), context.output.colour, note);
        }
        paint();
      }),
      resized: () => paint(),
    });
    const clock = setInterval(paint, CLOCK_MS);
    const forget = setTimeout(() => {
      note = null;
    }, NOTE_MS);
    const stopHearing = connection.bus.onStatus((event) => {
      if (event.type === "disconnected") model.cut_at ??= context.now();
      else if (event.type === "connected" || event.type === "reconnected") model.cut_at = null;
      else if (event.type === "denied") note = `not allowed: ${event.subject}`;
      else if (event.type === "handler_failed") note = `a message could not be read: ${event.subject}`;
      soon();
    });
    const stop = () => end();
    context.signal.addEventListener("abort", stop, { once: true });
    const end = (error?: unknown) => {
      if (over) return;
      over = true;
      clearInterval(clock);
      clearTimeout(forget);
      if (pending !== null) clearTimeout(pending);
      for (const question of [rollout, signed]) question.end();
      stopHearing();
      context.signal.removeEventListener("abort", stop);
      screen.close();
      if (error === undefined) resolve();
      else reject(error);
    };
    const rollout = new Again(
      async () => {
        model.rollout = await newestRollout(session, connection, model.rollout);
        soon();
      },
      ROLLOUT_MS,
      end,
    );
    /** What a rollout changed beside what the hosts tell. */
    const signed = new Again(
      async () => {
        const hosts = model
          .hosts(context.now())
          .flatMap(({ name, id }) => (id === null ? [] : [{ name, id }]));
        model.signed((await signedGenerations(session, connection.bus, hosts)).signed);
        soon();
      },
      ROLLOUT_MS,
      end,
    );
    onChange((change, kind) => {
      change(model);
      if (kind === "rollout") for (const question of [rollout, signed]) question.now();
      // How far its hosts are is told by themselves alone.
      else if (kind === "convergence" && model.rollout?.state === "running") rollout.soon();
      soon();
    });
    if (context.signal.aborted) end();
    else paint();
  });
}

function subscribe(connection: Connection, now: () => number, take: Take): void {
  connection.bus.subscribe(patterns.telemetry(), { concurrency: 1 }, (message) => {
    const [, id = "", host = "", kind = ""] = message.subject.split(".");
    if (!isTold(kind)) return;
    const sample = parseJson(TELEMETRY[kind].sample, message.body, `${kind} of ${host}`);
    take((model) => model.hear(host, id, { kind, sample } as Told, now()), kind);
  });
  connection.bus.subscribe(patterns.event(), { concurrency: 1 }, (message) => {
    const [, , host = "_"] = message.subject.split(".");
    const event = parseJson(FleetEvent, message.body, `event of ${host}`);
    take((model) => model.tell({ host, event }), event.kind);
  });
}

/** None while there is no controller: the hosts still tell what they are, and the frame says that there is none. */
const pastEvents = (connection: Connection): Promise<HostEvent[]> =>
  callController(connection, "events", { since: null, limit: EVENTS_AT_FIRST }).then(
    ({ events }) => events,
    (error: unknown) => {
      if (error instanceof FleetError && error.retryable) return [];
      throw error;
    },
  );
