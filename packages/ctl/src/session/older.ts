/** What a fleet from before answers to a question of a newer `ctl`. */
import { FleetError } from "@muster/protocol/errors";

const FROM_BEFORE: ReadonlySet<string> = new Set(["NOT_FOUND", "NO_RESPONDER", "BUS_DENIED"]);

/** Its controllers do not know the question, have no bucket for it yet, or its accounts give no right to it. */
export const isFromBefore = (error: unknown): error is FleetError =>
  error instanceof FleetError && FROM_BEFORE.has(error.code);
