/** Which socket lies at a path, another text when a daemon that was started again has made a new one there, and whether anybody listens on it. */
import { statSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";

type Unreachable = "BIRD_UNREACHABLE" | "FRR_UNREACHABLE";

/** Asked at once: it lies in memory (/run). Errors: `code`, with why there is none. */
export function socketIdentity(path: string, code: Unreachable): string {
  try {
    const found = statSync(path, { bigint: true });
    return `${found.dev}:${found.ino}:${found.ctimeNs}`;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetError(code, `${path}: ${why}`, { cause });
  }
}

/** Nobody listens: no socket, or one that a dead daemon left behind. Silence is something else. */
export function nobodyListens(error: unknown, unreachable: Unreachable): boolean {
  if (!(error instanceof FleetError) || error.code !== unreachable) return false;
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : null;
  return code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR";
}
