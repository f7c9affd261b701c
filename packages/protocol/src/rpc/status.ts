/** RPC `status`: where the host stands now, asked of itself. For `ctl status` when no controller answers, and for one host at once. */
import { z } from "zod";
import { HostName } from "../names.ts";
import { BgpSample } from "../telemetry/bgp.ts";
import { ChecksSample } from "../telemetry/checks.ts";
import { Convergence } from "../telemetry/convergence.ts";
import { method } from "./method.ts";

export const status = method({
  what: "Where the host stands now, asked of itself.",
  authority: "viewer",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({}),
  reply: z.object({
    host: HostName,
    groups: z.array(z.string()).describe("By its signed manifest; empty while only watched."),
    labels: z.record(z.string(), z.string()).describe("By its signed manifest."),
    convergence: Convergence.describe("Where it stands with its desired state."),
    bgp: BgpSample.nullable().describe("The last sample; null while there is none."),
    checks: ChecksSample.nullable().optional().describe("Its checks as they stand; absent or null: none."),
  }),
});
