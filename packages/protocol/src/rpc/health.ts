/** RPC `health`: a sample taken now, and what the other collectors saw last. */
import { z } from "zod";
import { CertificatesSample } from "../telemetry/certificates.ts";
import { ContainersSample } from "../telemetry/containers.ts";
import { Health } from "../telemetry/health.ts";
import { PackagesSample } from "../telemetry/packages.ts";
import { ServicesSample } from "../telemetry/services.ts";
import { WireguardSample } from "../telemetry/wireguard.ts";
import { method } from "./method.ts";

export const Collected = z.object({
  containers: ContainersSample.optional(),
  services: ServicesSample.optional(),
  certificates: CertificatesSample.optional(),
  packages: PackagesSample.optional(),
  wireguard: WireguardSample.optional(),
});
export type Collected = z.infer<typeof Collected>;

export const health = method({
  what: "How the server is, sampled now.",
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({
    collected: z.boolean().optional().describe("With what the other collectors saw last."),
  }),
  reply: Health.extend({
    collected: Collected.optional().describe(
      "The last samples of the other collectors, where they were asked for; what has not been looked at yet is absent.",
    ),
  }),
});
