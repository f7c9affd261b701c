/** What the engine refuses, in its own words. */
import { FleetError } from "@muster/protocol/errors";

const WORDS_LIMIT = 1_500;

/** Of its answer over HTTP; null when there was none. */
export function statusOf(error: unknown): number | null {
  if (typeof error !== "object" || error === null || !("statusCode" in error)) return null;
  return typeof error.statusCode === "number" ? error.statusCode : null;
}

/** The engine's own sentence; docker-modem puts words of its own before it. */
export function wordsOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "json" in error) {
    const { json } = error;
    if (typeof json === "object" && json !== null && "message" in json) return String(json.message);
  }
  return error instanceof Error ? error.message : String(error);
}

export function refusal(what: string, error: unknown, socket: string): FleetError {
  const words = wordsOf(error).replace(/\s+/g, " ").trim().slice(0, WORDS_LIMIT);
  if (statusOf(error) === 304)
    return new FleetError("CONFLICT", `${what}: it is so already`, { cause: error });
  const answered = statusOf(error) !== null || (error instanceof Error && !("code" in error));
  return answered
    ? new FleetError("DOCKER_REFUSED", `docker ${what}: ${words}`, { cause: error })
    : new FleetError("DOCKER_UNREACHABLE", `${socket}: ${words}; see: systemctl status docker`, {
        cause: error,
      });
}

/** What is so already is no failure. */
export function unlessSo(error: unknown): void {
  if (!(error instanceof FleetError) || error.code !== "CONFLICT") throw error;
}
