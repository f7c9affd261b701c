/**
 * Events of this host: each goes into a bounded local file (for `muster-agent log`) and, in order, to the stream. While the broker is away
 * they wait in a bounded spool that survives a restart, and are told late, marked so; of samples only the numbers are kept (history.ts), the next one is as good.
 */
import { constants } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";
import { FleetEvent } from "@muster/protocol/event";
import { LATE_HEADER } from "@muster/protocol/streams";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import { OpenFile } from "./ports/open-file.ts";
import { isMissing, readKept, writeKept } from "./store.ts";
import { Bell, pause } from "./wait.ts";

const { O_APPEND, O_CREAT, O_WRONLY } = constants;
const SPOOL_LIMIT = 2_000;
const LOG_LIMIT_BYTES = 1024 * 1024;
const RETRY_MS = 2_000;
/** What is sent so long after it happened says so: it is no news. */
const LATE_MS = 120_000;
const LOUDNESS = { info: "info", warning: "warn", error: "error" } as const;

const Spooled = z.object({ key: z.string().max(64), event: FleetEvent });
const SpoolFile = z.object({ waiting: z.array(Spooled).max(SPOOL_LIMIT), lost: z.int() });

export type Events = {
  /** Takes an event; never fails and never waits. */
  tell(event: Omit<FleetEvent, "at"> & { at?: number }): void;
  /** Sends until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
};

/**
 * @param where gives bus, id and name once there is a connection; null while there is none
 * @param drained whether the host is: what happens then says so, whatever it is but the drain itself
 */
export async function openEvents(
  files: { log: string; spool: string },
  where: () => { bus: Bus; id: string; host: string } | null,
  log: Log,
  now: () => number,
  drained: () => boolean,
): Promise<Events> {
  const kept = await readSpool(files.spool, log);
  let waiting = kept.waiting;
  let lost = kept.lost;
  let on_disk = waiting.length;
  let serial = 0;
  const bell = new Bell();
  const local = appender(files.log, log);

  const keep = async () => {
    if (waiting.length === 0 && on_disk === 0) return;
    try {
      await writeKept(files.spool, { waiting, lost });
      on_disk = waiting.length;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      // They are in memory still; only a crash now would lose them.
      log.error({ err: error }, "events cannot be kept on disk");
    }
  };

  const send = async (target: { bus: Bus; id: string; host: string }) => {
    for (;;) {
      const [next] = waiting;
      if (next === undefined) return;
      const subject = subjects.event(target.id, target.host, next.event.kind);
      const body = Buffer.from(JSON.stringify(next.event));
      const late_ms = now() - next.event.at;
      const headers = late_ms > LATE_MS ? { [LATE_HEADER]: String(late_ms) } : {};
      try {
        // The key makes it one event in the stream, also when the answer to the first sending was lost.
        await target.bus.publishStored(subject, body, { headers, msg_id: next.key });
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        // A broker that has just begun may take connections before it has its streams: only what will never fit is let go.
        if (error.code !== "TOO_LARGE") throw error;
        log.warn({ code: error.code, kind: next.event.kind }, "no stream takes this event");
      }
      waiting = waiting.filter((each) => each !== next);
    }
  };

  return {
    tell(given) {
      const marks = given.kind !== "drain" && drained() ? { drained: true as const } : {};
      const event: FleetEvent = {
        ...given,
        ...marks,
        at: given.at ?? now(),
        what: given.what.slice(0, 4_000),
      };
      if (event.diff !== undefined) event.diff = event.diff.slice(0, 65_536);
      log[LOUDNESS[event.severity]]({ kind: event.kind, ref: event.ref }, event.what);
      local(JSON.stringify(event));
      if (waiting.length >= SPOOL_LIMIT) {
        waiting = waiting.slice(1);
        lost += 1;
      }
      waiting = [...waiting, { key: `${event.at}-${process.pid}-${serial++}`, event }];
      bell.ring();
    },
    async run(signal) {
      while (!signal.aborted) {
        const target = where();
        if (target !== null && waiting.length > 0) {
          try {
            await send(target);
            if (lost > 0) log.warn({ lost }, "events were lost while the broker was away");
            lost = 0;
          } catch (error) {
            if (!(error instanceof FleetError)) throw error;
            log.debug({ code: error.code }, "events wait for the broker");
          }
        }
        await keep();
        if (waiting.length > 0) await pause(RETRY_MS, signal);
        else await bell.rung(60_000, signal);
      }
      await keep();
    },
  };
}

async function readSpool(file: string, log: Log): Promise<z.infer<typeof SpoolFile>> {
  try {
    return (await readKept(file, SpoolFile))?.value ?? { waiting: [], lost: 0 };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    log.warn({ err: error }, "the spool of events is lost");
    return { waiting: [], lost: 0 };
  }
}

/** Appends lines one after another; a file that grew too large becomes `.1`. */
function appender(file: string, log: Log): (line: string) => void {
  let queue = Promise.resolve();
  /** A full disk takes half a line: the next must not be written behind it. */
  let half = false;
  const open = () => OpenFile.open(file, O_WRONLY | O_APPEND | O_CREAT, 0o600);
  const opened = async () => {
    const found = await open().catch(async (error: unknown) => {
      if (!isMissing(error)) throw error;
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      return open();
    });
    if (found.facts().size <= LOG_LIMIT_BYTES) return found;
    found.close();
    await rename(file, `${file}.1`);
    return open();
  };
  const append = async (line: string) => {
    try {
      const log_file = await opened();
      try {
        await log_file.write(Buffer.from(`${half ? "\n" : ""}${line}\n`));
      } finally {
        log_file.close();
      }
      half = false;
    } catch (error) {
      half = true;
      log.error({ err: error }, `${file}: an event could not be written`);
    }
  };
  return (line) => {
    queue = queue.then(() => append(line));
  };
}

/** The newest events of the local file, oldest first; lines that cannot be read are left out. */
export async function readEventLog(file: string, limit: number): Promise<FleetEvent[]> {
  const texts = await Promise.all(
    [`${file}.1`, file].map((each) =>
      readFile(each, "utf8").catch((error: unknown) => {
        if (isMissing(error)) return "";
        throw error;
      }),
    ),
  );
  const lines = texts.join("").split("\n").filter(Boolean).slice(-limit);
  return lines.flatMap((line) => {
    try {
      const result = FleetEvent.safeParse(JSON.parse(line));
      return result.success ? [result.data] : [];
    } catch {
      // A line that a crash cut off.
      return [];
    }
  });
}
