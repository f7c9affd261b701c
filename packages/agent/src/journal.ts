/** The journal as journalctl gives it: how it is asked, and an entry as a line. For `ctl logs`, and for what is sent by a `log` resource. */
import type { LogLine } from "@muster/protocol";
import { LOG_TEXT_LIMIT, PRIORITIES, type Priority } from "@muster/protocol/rpc/logs";
import { z } from "zod";

/** An entry of the journal may hold a whole core dump; of more than this as JSON nothing can be shown. */
export const ENTRY_LIMIT = 1024 * 1024;

export type JournalWish = {
  readonly units: readonly string[];
  readonly follow: boolean;
  readonly since: number | null;
  /** Of the past at most so many. */
  readonly last: number;
  readonly grep: string | null;
  readonly priority: Priority | null;
  /** Where it was left: goes before `since`. */
  readonly after?: string | null;
};

export function journalArguments({ since, after = null, ...wish }: JournalWish): string[] {
  return [
    "--output=json",
    `--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,${UNIT_FIELDS.join(",")}`,
    "--all",
    "--quiet",
    "--no-pager",
    `--lines=${wish.last}`,
    ...(wish.follow ? ["--follow"] : []),
    ...wish.units.map((unit) => `--unit=${unit}`),
    ...(after !== null ? [`--after-cursor=${after}`] : []),
    ...(since === null || after !== null ? [] : [`--since=@${(since / 1_000).toFixed(3)}`]),
    ...(wish.grep === null ? [] : [`--grep=${wish.grep}`, "--case-sensitive=yes"]),
    ...(wish.priority === null ? [] : [`--priority=${wish.priority}`]),
  ];
}

/** By which `--unit` finds an entry: who wrote it, and of whom systemd, or a core dump's catcher, wrote it. journalctl(1). */
const UNIT_FIELDS = ["_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT"] as const;

/** A text, bytes where it is no UTF-8, several where a field was given more than once. */
const Field = z.union([
  z.string(),
  z.array(z.number()).transform((bytes) => Buffer.from(bytes).toString("utf8")),
  z
    .array(z.union([z.string(), z.array(z.number())]))
    .transform((all) => all.filter((each) => typeof each === "string").join(" ")),
]);
const Entry = z.object({
  __REALTIME_TIMESTAMP: z.coerce.number(),
  __CURSOR: z.string().max(1_000).nullish().catch(null),
  MESSAGE: Field.nullish(),
  PRIORITY: Field.nullish(),
  SYSLOG_IDENTIFIER: Field.nullish(),
  _COMM: Field.nullish(),
  _SYSTEMD_UNIT: Field.nullish(),
  UNIT: Field.nullish(),
  OBJECT_SYSTEMD_UNIT: Field.nullish(),
  COREDUMP_UNIT: Field.nullish(),
});

export type JournalEntry = {
  readonly line: LogLine;
  /** The units that it is of, who wrote it first. */
  readonly units: readonly string[];
  readonly cursor: string | null;
};

/** A line of `journalctl --output=json` (systemd.journal-fields(7)). What cannot be read is shown as what it is, not left out. */
export function journalEntry(text: string): JournalEntry {
  let found: z.infer<typeof Entry> | undefined;
  try {
    found = Entry.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (found === undefined) {
    // The time stands near the beginning of an entry, also of one that was cut.
    const at = Number(/"__REALTIME_TIMESTAMP"\s*:\s*"(\d+)"/.exec(text)?.[1] ?? 0);
    const line = {
      at: Math.floor(at / 1_000),
      from: "journal",
      priority: null,
      text: `(an entry that cannot be read, ${text.length} characters or more)`,
      cut: true,
    };
    return { line, units: [], cursor: null };
  }
  const line = {
    at: Math.floor(found.__REALTIME_TIMESTAMP / 1_000),
    from: (found.SYSLOG_IDENTIFIER ?? found._COMM ?? found._SYSTEMD_UNIT ?? "?").slice(0, 256),
    priority: PRIORITIES[Number(found.PRIORITY ?? Number.NaN)] ?? null,
    ...cutText((found.MESSAGE ?? "").trimEnd()),
  };
  return { line, units: UNIT_FIELDS.flatMap((field) => found[field] ?? []), cursor: found.__CURSOR ?? null };
}

export const cutText = (text: string) => ({
  text: text.slice(0, LOG_TEXT_LIMIT),
  cut: text.length > LOG_TEXT_LIMIT,
});
