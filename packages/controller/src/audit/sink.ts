/** What every target of the export has in common: how it is given records, and the line that a record becomes. */
import type { StoredMessage } from "@muster/ports/bus";
import { recordIn } from "./record.ts";

/** Takes records in order; resolves when they are handed over. Errors: FleetErrors; all of them are given again then. */
export type Sink = {
  readonly name: string;
  give(records: readonly StoredMessage[]): Promise<void>;
  close(): void;
};

/** As it is stored, with the stream's number and time; somebody's message that is no record as a string. */
export function lineOf({ seq, stored_at, subject, body }: StoredMessage): string {
  return JSON.stringify({ at: seq, stored_at, subject, record: recordIn(body) });
}
