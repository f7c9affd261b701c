/** What the log says of a call that was answered. */
import type { Log } from "@muster/ports/log";
import { FleetError } from "@muster/protocol/errors";

type Done = {
  readonly method: string;
  readonly by: string | null;
  readonly error: unknown;
  readonly took_ms: number;
};

export const toldTo =
  (log: Log) =>
  ({ method, by, error, took_ms }: Done): void => {
    const fields = { method, by, took_ms: Math.round(took_ms) };
    if (error === null) log.debug(fields, "rpc");
    else if (error instanceof FleetError)
      log.info({ ...fields, code: error.code }, `rpc refused: ${error.message}`);
    else log.error({ ...fields, err: error }, "a mistake in an rpc handler");
  };
