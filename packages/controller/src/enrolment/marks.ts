/**
 * Whether a host is the one that it was at its last renewal, or one of two with the same state: it tells the mark that it was given then, and its next. A
 * host that tells another is in **quarantine**: nothing is issued for its key, to either of the two, until a person has looked. Both keep running.
 */
import type { HostRecord, Mark } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Events } from "../events.ts";
import type { HostRecords, Kept } from "../records/hosts.ts";

const TRIES = 5;

export type MarkVerdict =
  | { readonly verdict: "same"; readonly mark: HostRecord["mark"] }
  | { readonly verdict: "copy"; readonly why: string };

/** Pure. A host of which no mark is known yet may tell any. */
export function judgeMark(held: HostRecord["mark"], told: Mark | undefined): MarkVerdict {
  if (held == null)
    return { verdict: "same", mark: told === undefined ? held : { word: told.next, generation: 1 } };
  if (told === undefined) return { verdict: "copy", why: "it tells no mark, and it has had one" };
  if (told.held === held.word)
    return { verdict: "same", mark: { word: told.next, generation: held.generation + 1 } };
  // The answer to it was lost.
  if (told.next === held.word) return { verdict: "same", mark: held };
  return { verdict: "copy", why: `it tells the mark of a state older than renewal ${held.generation}` };
}

/**
 * Takes the mark that a host tells, before anything is issued for it. Resolves with the record as it is then.
 * Errors: NOT_ALLOWED in quarantine, and for the one that comes into it by this.
 */
export async function takeMark(
  kept: Kept,
  told: Mark | undefined,
  from: string,
  ports: { readonly records: HostRecords; readonly events: Pick<Events, "emit">; readonly now: () => number },
): Promise<Kept> {
  let newest: Kept | null = kept;
  for (let tries = 1; newest !== null && newest.record.id === kept.record.id; tries++) {
    const { record, revision } = newest;
    if (record.quarantined != null) throw inQuarantine(record);
    const judged = judgeMark(record.mark, told);
    const next: HostRecord =
      judged.verdict === "same"
        ? { ...record, mark: judged.mark }
        : { ...record, quarantined: { at: ports.now(), why: `${judged.why}; it came ${from}` } };
    try {
      await ports.records.write(next, revision);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= TRIES) throw error;
      newest = await ports.records.fetch(record.name);
      continue;
    }
    if (judged.verdict === "copy") {
      tellCopy(record.name, `${judged.why}; it came ${from}`, ports.events);
      throw inQuarantine(next);
    }
    const written = await ports.records.fetch(record.name);
    if (written === null) break;
    return written;
  }
  throw new FleetError("CONFLICT", `${kept.record.name} changed meanwhile`);
}

/**
 * Puts a host into quarantine for what its connections showed; `from`: where the one that was there first is. False when it was in one, or is no such host.
 * Errors: CONFLICT, those of the bus.
 */
export async function quarantine(
  host: { readonly name: string; readonly id: string },
  why: string,
  from: string,
  ports: { readonly records: HostRecords; readonly events: Pick<Events, "emit">; readonly now: () => number },
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    const kept = await ports.records.fetch(host.name);
    if (kept === null || kept.record.id !== host.id || kept.record.state !== "enrolled") return false;
    if (kept.record.quarantined != null) return false;
    try {
      await ports.records.write(
        { ...kept.record, quarantined: { at: ports.now(), why, from } },
        kept.revision,
      );
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "CONFLICT" || tries >= TRIES) throw error;
      continue;
    }
    tellCopy(host.name, why, ports.events);
    return true;
  }
}

const tellCopy = (name: string, why: string, events: Pick<Events, "emit">) =>
  events.emit({
    host: name,
    kind: "credentials",
    severity: "error",
    what: `two machines have its key (${why}): nothing is issued for it any more until ctl host clear ${name}, when the copy is gone, or ctl host replace ${name}`,
  });

const inQuarantine = ({ name, quarantined }: HostRecord) =>
  new FleetError(
    "NOT_ALLOWED",
    `${name} is in quarantine: two machines have its key (${quarantined?.why ?? ""}); ctl host clear ${name}, or ctl host replace ${name}`,
  );
