/** Which socket lies at a path: another text when a daemon that was started again has made a new one there. Asked at once: it lies in memory (/run). */
import { statSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";

/** Errors: `code`, with why there is none. */
export function socketIdentity(path: string, code: "BIRD_UNREACHABLE" | "FRR_UNREACHABLE"): string {
  try {
    const found = statSync(path, { bigint: true });
    return `${found.dev}:${found.ino}:${found.ctimeNs}`;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetError(code, `${path}: ${why}`, { cause });
  }
}
