/** Last values of every host as the controllers have them, kind by kind; of a host that is silent, or whose collector is, nothing: that is not known now. */
import { callController } from "@muster/ports/call";
import type { ControlReply } from "@muster/protocol/control/index";
import type { Values } from "@muster/protocol/expression/values";
import { FRESH_PERIODS, TELEMETRY, type TelemetryKind } from "@muster/protocol/telemetry/index";
import type { Connection } from "../session/session.ts";

const PAGE = 500;

/** By host. Errors: NO_RESPONDER without a controller, TIMEOUT. */
export async function lastValues(
  connection: Connection,
  kinds: readonly TelemetryKind[],
  now_ms: number,
): Promise<ReadonlyMap<string, Values>> {
  const hosts = new Map<string, Record<string, unknown>>();
  const read = async (kind: TelemetryKind) => {
    const fresh_ms = TELEMETRY[kind].period_ms * FRESH_PERIODS;
    let after: string | null = null;
    do {
      const page: ControlReply<"last"> = await callController(connection, "last", {
        ...{ kind, after, limit: PAGE },
      });
      for (const { host, heard_at, sample } of page.values) {
        if ((page.now ?? now_ms) - heard_at > fresh_ms) continue;
        const values = hosts.get(host) ?? {};
        values[kind] = sample;
        hosts.set(host, values);
      }
      after = page.next;
    } while (after !== null);
  };
  await Promise.all(kinds.map(read));
  return hosts;
}
