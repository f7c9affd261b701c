/** An answer of FRR's that should be JSON. What it is instead is named by its beginning, which holds no figure that changes by itself. */
import { FleetError } from "@muster/protocol/errors";

const QUOTED_CHARS = 60;

/** @throws FRR_REPLY */
export function objectOf(text: string): Record<string, unknown> {
  const value = parsed(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new FleetError("FRR_REPLY", `no JSON object: ${quoted(text)}`);
}

/** @throws FRR_REPLY */
export function arrayOf(text: string): unknown[] {
  const value = parsed(text);
  if (Array.isArray(value)) return value;
  throw new FleetError("FRR_REPLY", `no JSON list: ${quoted(text)}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FleetError("FRR_REPLY", `no JSON: ${quoted(text)}`, { cause });
  }
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, QUOTED_CHARS));
