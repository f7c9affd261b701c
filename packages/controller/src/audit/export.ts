/**
 * The audit outside of the broker: each record of the stream as a line of JSON in a file, and as a message to a syslog server. A controller that is configured
 * for it reads on from where it was, when the broker tells of a new record and when it starts. What could not be handed over is tried again, so a
 * record may come twice; it carries writer and number.
 */
import { constants } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { Bus, StoredMessage } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import { patterns } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { pause } from "../retry.ts";
import { lineOf, type Sink } from "./sink.ts";
import { type SyslogTarget, syslog } from "./syslog.ts";

export type ExportTargets = {
  readonly file?: string | undefined;
  readonly syslog?: SyslogTarget | undefined;
};

const BATCH = 500;
const RETRY_MS = 5_000;

export type ExportPorts = {
  readonly bus: Pick<Bus, "readAll" | "kv" | "subscribe" | "onStatus">;
  /** The controller's name: it has a place of its own in the stream for each target. */
  readonly name: string;
  readonly log: Log;
};

/** Hands over to each target by itself until the signal aborts: one that fails holds up no other. */
export async function exportAudit(
  targets: ExportTargets,
  ports: ExportPorts,
  signal: AbortSignal,
): Promise<void> {
  const sinks = [
    ...(targets.file === undefined ? [] : [fileSink(targets.file)]),
    ...(targets.syslog === undefined ? [] : [syslog(targets.syslog)]),
  ];
  await Promise.all(sinks.map((sink) => follow(sink, ports, signal)));
}

async function follow(sink: Sink, { bus, name, log }: ExportPorts, signal: AbortSignal): Promise<void> {
  const kv = bus.kv("fleet");
  const key = `audit-export/${name}/${sink.name}`;
  let wake: () => void = () => undefined;
  let rang = true;
  const ring = () => {
    rang = true;
    wake();
  };
  const ends = [
    bus.subscribe(patterns.liveAudit, { concurrency: 1 }, ring),
    bus.onStatus((event) => {
      if (event.type === "reconnected") ring();
    }),
  ];
  signal.addEventListener("abort", ring, { once: true });
  let failing = false;
  while (!signal.aborted) {
    if (!rang)
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (rang) resolve();
      });
    rang = false;
    if (signal.aborted) break;
    try {
      await handOver(sink, bus, kv, key);
      if (failing) log.warn({ target: sink.name }, "the audit is exported again");
      failing = false;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!failing)
        log.error({ err: error, target: sink.name }, "the audit cannot be exported: it waits in the stream");
      failing = true;
      rang = true;
      await pause(RETRY_MS, signal);
    }
  }
  for (const end of ends) end();
  sink.close();
}

async function handOver(
  sink: Sink,
  bus: Pick<Bus, "readAll">,
  kv: ReturnType<Bus["kv"]>,
  key: string,
): Promise<void> {
  const kept = await kv.get(key);
  let done = kept === null ? 0 : Number(Buffer.from(kept.value).toString());
  let batch: StoredMessage[] = [];
  const give = async () => {
    const last = batch.at(-1);
    if (last === undefined) return;
    await sink.give(batch);
    done = last.seq;
    await kv.put(key, Buffer.from(String(done)));
    batch = [];
  };
  for await (const message of bus.readAll("AUDIT", "audit.>", { from_seq: done + 1 })) {
    batch.push(message);
    if (batch.length >= BATCH) await give();
  }
  await give();
}

const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW } = constants;

/** Opened anew each time, so that it may be rotated by whoever rotates files there. */
function fileSink(path: string): Sink {
  return {
    name: "file",
    close: () => undefined,
    async give(records) {
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        const file = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
        try {
          const { size } = await file.stat();
          try {
            await file.appendFile(records.map((record) => `${lineOf(record)}\n`).join(""));
            await file.datasync();
          } catch (error) {
            await file.truncate(size);
            throw error;
          }
        } finally {
          await file.close();
        }
      } catch (cause) {
        throw new FleetError("FAILED", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        });
      }
    },
  };
}
