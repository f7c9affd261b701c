/** The rollout that `ctl watch` shows. */
import { callController } from "@muster/ports/call";
import type { RolloutBrief } from "@muster/protocol/control/rollouts";
import { FleetError } from "@muster/protocol/errors";
import type { Rollout } from "@muster/protocol/record";
import { isFromBefore } from "../session/older.ts";
import type { Connection, Session } from "../session/session.ts";

/** What is `known` of it while no controller answers, or where a fleet from before tells nothing of it: all else is shown. Viewers are told it in short. */
export function newestRollout(
  { rank }: Pick<Session, "rank">,
  connection: Connection,
  known: Rollout | RolloutBrief | null,
): Promise<Rollout | RolloutBrief | null> {
  const asked: Promise<Rollout | RolloutBrief | null> =
    rank === "viewer"
      ? callController(connection, "rollouts", { limit: 1 }).then(({ rollouts }) => rollouts[0] ?? null)
      : callController(connection, "rollout", { rollout: null }).then(({ rollout }) => rollout);
  return asked.catch((error: unknown) => {
    if (isFromBefore(error) || (error instanceof FleetError && error.retryable)) return known;
    throw error;
  });
}
