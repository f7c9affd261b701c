/** Throws the switch `drain` of one host and waits until BIRD there does as it says, or the guard took it back. */
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { Convergence } from "@muster/protocol/telemetry/convergence";
import type { Host } from "../apply/signed.ts";
import type { Connection } from "../session/session.ts";

const POLL_MS = 300;
/** The guard's window is a minute unless the plan says more. */
const LIMIT_MS = 330_000;

export type Turn = {
  readonly on: boolean;
  readonly why: string;
  readonly for_ms: number | null;
  /** Sessions are disabled, since bird.conf has no drain constant. */
  readonly disable?: true;
};

/** Errors: UNDONE, FAILED, OVERWRITE as the host says; TIMEOUT; CANCELLED on abort, and the switch stays thrown. */
export async function turnDrain(
  connection: Connection,
  host: Host,
  turn: Turn,
  signal: AbortSignal,
  seen: (convergence: Convergence) => void = () => undefined,
): Promise<void> {
  await callOne(connection, host.id, "switch", { name: "drain", ...turn }, { signal });
  const end_ms = performance.now() + LIMIT_MS;
  for (;;) {
    const { convergence } = await callOne(connection, host.id, "status", {}, { signal });
    seen(convergence);
    const trouble = convergence.troubles.find(({ ref }) => ref.startsWith("bird/"));
    if (isDone(convergence, turn.on)) return;
    if (trouble !== undefined && convergence.state !== "applying" && convergence.state !== "unconfirmed")
      throw new FleetError(
        convergence.state === "undone" ? "UNDONE" : "FAILED",
        `${host.name}: ${trouble.what}`,
      );
    const edited = convergence.drift.find(({ ref }) => ref.startsWith("bird/"));
    if (edited !== undefined && convergence.drained?.in_effect !== turn.on)
      throw new FleetError("OVERWRITE", `${host.name}: ${edited.ref} ${edited.what}`);
    if (performance.now() > end_ms)
      throw new FleetError(
        "TIMEOUT",
        `${host.name} is not done after ${LIMIT_MS / 1_000} s: ${convergence.state}`,
      );
    await sleep(POLL_MS, undefined, { signal }).catch(() => {
      throw new FleetError("CANCELLED", "the switch stays as it was thrown");
    });
  }
}

function isDone(convergence: Convergence, on: boolean): boolean {
  const { drained, state } = convergence;
  if (state === "applying" || state === "unconfirmed") return false;
  return on ? drained?.in_effect === true : drained == null && state !== "undone" && state !== "failed";
}
