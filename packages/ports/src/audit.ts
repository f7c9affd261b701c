/**
 * How a program tells its audit: what acts before it is done, the rest afterwards, in sums where much of it is alike. Where the records go is the
 * program's own: a file and a stream on a host, the stream alone for a controller.
 */
import type { AuditEntry } from "@muster/protocol";

export type AuditDoor = {
  /** Resolves with the record's number when it is kept for good. Errors: UNAUDITED when it cannot be: the act must not be done then. */
  before(entry: AuditEntry): Promise<number>;
  /** Never fails and never waits. */
  tell(entry: AuditEntry): void;
};

/** An entry as a caller makes it: what is left out is nothing. */
export type AuditNote = Omit<AuditEntry, "code" | "of" | "more" | "args"> &
  Partial<Pick<AuditEntry, "code" | "of" | "args">>;

export const entryOf = (note: AuditNote): AuditEntry => ({
  code: null,
  of: null,
  args: null,
  ...note,
  more: 0,
});

const SUM_MS = 60_000;
/** More different ones than this in a minute are told by what they are alone: a stranger can make up as many as he likes. */
const KINDS = 100;

/** Tells the first of its kind at once and how many more there were when a minute is over. */
export function summed(door: Pick<AuditDoor, "tell">, signal: AbortSignal): AuditDoor["tell"] {
  const tell = (entry: AuditEntry) => door.tell(entry);
  const open = new Map<string, { last: AuditEntry; more: number }>();
  const flush = () => {
    for (const [key, { last, more }] of open) {
      open.delete(key);
      if (more > 0) tell({ ...last, more: more - 1 });
    }
  };
  const timer = setInterval(flush, SUM_MS).unref();
  signal.addEventListener(
    "abort",
    () => {
      clearInterval(timer);
      flush();
    },
    { once: true },
  );
  return (given) => {
    let entry = given;
    if (!open.has(kindOf(entry)) && open.size >= KINDS)
      entry = { ...given, by: null, from: "many places", target: "many", args: null };
    const key = kindOf(entry);
    const known = open.get(key);
    if (known === undefined) {
      open.set(key, { last: entry, more: 0 });
      tell(entry);
    } else open.set(key, { last: entry, more: known.more + 1 });
  };
}

const kindOf = ({ by, from, kind, what, result, code }: AuditEntry) =>
  JSON.stringify([by?.key, from, kind, what, result, code]);

/** Where a request came from, as far as the broker holds anybody to it: the bus id whose inbox is answered. */
export function askerOf(reply: string | undefined): string {
  const id = /^_INBOX_([A-Za-z0-9_-]{1,80})\./.exec(reply ?? "")?.[1];
  if (id !== undefined) return id;
  return reply?.startsWith("_R_.") ? "another account" : "nowhere to answer to";
}
