/** What every target of the export has in common: how it is given records, and the line that a record becomes. */
import type { StoredMessage } from "@muster/ports/bus";

/** Takes records in order; resolves when they are handed over. Errors: FleetErrors; all of them are given again then. */
export type Sink = {
  readonly name: string;
  give(records: readonly StoredMessage[]): Promise<void>;
  close(): void;
};

/** As it is stored, with the stream's number and time; what is no JSON as a string. */
export function lineOf({ seq, stored_at, subject, body }: StoredMessage): string {
  const text = Buffer.from(body).toString();
  let record: unknown = text;
  try {
    record = JSON.parse(text);
  } catch {
    // Somebody's message that is no record is exported as what it is.
  }
  return JSON.stringify({ at: seq, stored_at, subject, record });
}
