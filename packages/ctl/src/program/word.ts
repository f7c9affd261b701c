/** Reads one typed word by a schema: what does not fit is a mistake in usage (exit 2), told with the word's place. */
import { FleetError, parse } from "@muster/protocol/errors";
import type { z } from "zod";

/** The value by `schema`. `what` is the option or argument as it is typed: `--rank`, `host`. Errors: USAGE. */
export function readWord<S extends z.ZodType>(schema: S, word: unknown, what: string): z.output<S> {
  try {
    return parse(schema, word, what);
  } catch (cause) {
    if (!(cause instanceof FleetError)) throw cause;
    const shown = typeof word === "string" ? ` ${JSON.stringify(word.slice(0, 80))}` : "";
    throw new FleetError("USAGE", cause.detail.replace(`${what}: (whole): `, `${what}${shown}: `), { cause });
  }
}
