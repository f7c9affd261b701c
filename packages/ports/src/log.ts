/**
 * Port to pino: one JSON object a line on stdout. Written synchronously, so that the last line before a crash is there,
 * and without worker threads. Secrets are taken out here, at the root, whatever depth they are at (redact.ts).
 */
import { fstatSync } from "node:fs";
import { type DestinationStream, destination, pino } from "pino";
import { redactText, redactValue } from "./redact.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields of a line; an error goes under `err`. */
export type LogFields = Readonly<Record<string, unknown>>;

type Write = (fields: LogFields, message: string) => void;

export interface Log {
  readonly trace: Write;
  readonly debug: Write;
  readonly info: Write;
  readonly warn: Write;
  readonly error: Write;
  readonly fatal: Write;
  /** A log whose every line carries these fields too. */
  child(fields: LogFields): Log;
}

/** Priorities of sd-daemon(3) by pino's levels. */
const PRIORITY: Readonly<Record<number, number>> = { 10: 7, 20: 7, 30: 6, 40: 4, 50: 3, 60: 2 };

/** Begins every line with its priority, which journald takes off again: so that `journalctl -p err` finds what is loud. */
function journal(to: DestinationStream): DestinationStream {
  const stream = {
    [pino.symbols.needsMetadataGsym]: true,
    lastLevel: 30,
    write(line: string): void {
      to.write(`<${PRIORITY[stream.lastLevel] ?? 6}>${line}`);
    },
  };
  return stream;
}

/** Whether stdout is the journal: the variable names its device and inode (systemd.exec(5)), and is handed on to children. */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(1);
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
}

/**
 * The root log of a process.
 * @param options.name the program, in every line
 * @param options.to where the lines go instead of stdout: a file path, or a stream for tests
 */
export function openLog(options: { name: string; level?: LogLevel; to?: string | DestinationStream }): Log {
  const to = options.to ?? 1;
  const plain_stream = typeof to === "object" ? to : destination({ dest: to, sync: true, mkdir: false });
  const stream = options.to === undefined && isJournal() ? journal(plain_stream) : plain_stream;
  const root = pino(
    {
      name: options.name,
      level: options.level ?? "info",
      base: {},
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      // Errors are plain data by then (redact.ts); pino's own serializer would lose their causes.
      serializers: { err: (value: unknown) => value },
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  return wrap(root);
}

function wrap(logger: pino.Logger): Log {
  const at =
    (level: Exclude<LogLevel, "silent">): Write =>
    (fields, message) => {
      if (logger.isLevelEnabled(level)) logger[level](plain(fields), redactText(message));
    };
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    fatal: at("fatal"),
    child: (fields) => wrap(logger.child(plain(fields))),
  };
}

function plain(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(redactValue(fields) ?? {}));
}
