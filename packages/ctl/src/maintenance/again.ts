/** Waits until a host is back from a reboot: another boot, converged, with every session up that was up before and that its drain has not disabled. */
import { setTimeout as sleep } from "node:timers/promises";
import { callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { Host } from "../apply/signed.ts";
import { listText } from "../output/words.ts";
import type { Connection } from "../session/session.ts";
import type { Standing } from "./host.ts";

const POLL_MS = 1_000;
const ASK_MS = 2_000;

/** Errors: TIMEOUT with what was still waited for, CANCELLED. */
export async function untilBack(
  connection: Connection,
  host: Host,
  before: { readonly boot: string; readonly standing: Standing },
  limit_ms: number,
  signal: AbortSignal,
  waits: (what: string) => void,
): Promise<void> {
  const end_ms = performance.now() + limit_ms;
  const up = upIn(before.standing);
  const quick = { timeout_ms: ASK_MS, signal };
  let rebooted = false;
  let what = "it goes down";
  for (;;) {
    try {
      if (!rebooted) {
        const { boot } = await callOne(connection, host.id, "facts", { brief: true }, quick);
        rebooted = boot !== before.boot;
      }
      if (rebooted) {
        const missing = missingOf(await callOne(connection, host.id, "status", {}, quick), up);
        if (missing === null) return;
        what = missing;
      }
    } catch (error) {
      if (!(error instanceof FleetError) || signal.aborted) throw error;
      // Silence is what a reboot looks like; what it answers while it starts is not its last word.
      what = error.retryable ? "it boots" : error.message;
    }
    waits(what);
    if (performance.now() > end_ms)
      throw new FleetError(
        "TIMEOUT",
        `${host.name} is not back after ${Math.round(limit_ms / 1_000)} s: ${what}`,
      );
    await sleep(POLL_MS, undefined, { signal }).catch(() => {
      throw new FleetError("CANCELLED", `while ${host.name} reboots`);
    });
  }
}

const upIn = ({ bgp }: Standing): readonly string[] =>
  (bgp?.sessions ?? [])
    .filter(({ state, dynamic }) => state === "established" && !dynamic)
    .map(({ name }) => name);

/** What is still missing, in words; null when nothing is. */
function missingOf(now: Standing, up: readonly string[]): string | null {
  const { state, detail } = now.convergence;
  if (!["converged", "watched", "returned"].includes(state))
    return `${state}${detail === "" ? "" : `: ${detail}`}`;
  const here = [...upIn(now), ...(now.convergence.drained?.disables ?? [])];
  const down = up.filter((name) => !here.includes(name));
  return down.length === 0 ? null : `sessions ${listText(down)}`;
}
