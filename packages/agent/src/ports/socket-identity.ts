/** Which socket lies at a path: another text when a daemon that was started again has made a new one there. */
import { stat } from "node:fs/promises";
import { FleetError } from "@muster/protocol/errors";

/** Errors: `code`, with why there is none. */
export async function socketIdentity(
  path: string,
  code: "BIRD_UNREACHABLE" | "FRR_UNREACHABLE",
): Promise<string> {
  try {
    const found = await stat(path, { bigint: true });
    return `${found.dev}:${found.ino}:${found.ctimeNs}`;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetError(code, `${path}: ${why}`, { cause });
  }
}
