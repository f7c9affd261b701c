/** What is kept of checks on disk, by name: for after a restart, and for who looks on the host itself (`muster-agent status`). */
import { Instant } from "@muster/protocol/names";
import { CheckState } from "@muster/protocol/telemetry/checks";
import { timeText } from "@muster/protocol/time";
import { z } from "zod";

export const KeptChecks = z.object({
  checks: z.record(
    z.string(),
    z.object({
      hash: z.string().describe("Of the declaration: what is declared otherwise begins anew."),
      state: CheckState,
      since: Instant,
      up_at: Instant.nullable(),
      asks: z.string().default("").describe("How and what is asked."),
      why: z.string().default("").describe("The bad answer that turned it; empty while it is up."),
    }),
  ),
});
export type KeptChecks = z.infer<typeof KeptChecks>;

/** A line for each that is not up, and one that counts those that are. */
export function checkLines({ checks }: KeptChecks): string[] {
  const all = Object.entries(checks).sort(([one], [other]) => (one < other ? -1 : 1));
  const up = all.filter(([, { state }]) => state === "up");
  const lines = all
    .filter(([, { state }]) => state !== "up")
    .map(([name, { state, since, up_at, asks, why }]) => {
      const word = state === "blind" ? "BLIND" : up_at === null ? "NEVER UP" : "DOWN";
      const words = why === "" ? asks : `${asks}: ${why}`;
      return `check        ${name} ${word} since ${timeText(since)}${words === "" ? "" : `   ${words}`}`;
    });
  if (all.length > 0)
    lines.unshift(
      `checks       ${up.length} of ${all.length} up${up.length === 0 ? "" : `: ${up.map(([name]) => name).join(", ")}`}`,
    );
  return lines;
}
