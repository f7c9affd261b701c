/** The table of telemetry kinds: one schema and period a kind. Readers are tolerant: an older agent may say less, a newer one more. */
import type { z } from "zod";
import { BgpSample } from "./bgp.ts";
import { CERTIFICATES_PERIOD_MS, CertificatesSample } from "./certificates.ts";
import { CHECKS_PERIOD_MS, ChecksSample } from "./checks.ts";
import { CONTAINERS_PERIOD_MS, ContainersSample } from "./containers.ts";
import { CONVERGENCE_PERIOD_MS, Convergence, watched } from "./convergence.ts";
import { HEALTH_PERIOD_MS, Health } from "./health.ts";
import { PACKAGES_PERIOD_MS, PackagesSample } from "./packages.ts";
import { SERVICES_PERIOD_MS, ServicesSample } from "./services.ts";
import { WIREGUARD_PERIOD_MS, WireguardSample } from "./wireguard.ts";

export const TELEMETRY = {
  health: { sample: Health, period_ms: HEALTH_PERIOD_MS },
  bgp: { sample: BgpSample, period_ms: 10_000 },
  checks: { sample: ChecksSample, period_ms: CHECKS_PERIOD_MS },
  convergence: { sample: Convergence, period_ms: CONVERGENCE_PERIOD_MS },
  containers: { sample: ContainersSample, period_ms: CONTAINERS_PERIOD_MS },
  services: { sample: ServicesSample, period_ms: SERVICES_PERIOD_MS },
  certificates: { sample: CertificatesSample, period_ms: CERTIFICATES_PERIOD_MS },
  packages: { sample: PackagesSample, period_ms: PACKAGES_PERIOD_MS },
  wireguard: { sample: WireguardSample, period_ms: WIREGUARD_PERIOD_MS },
} as const;

/** Of one sample as it travels: agents leave away what goes beyond it. */
export const SAMPLE_BYTES = 500_000;
/** Controllers refuse what goes beyond this: agents from before `SAMPLE_BYTES` may tell so much. Behind a page of others it fits into a reply of 1 MiB. */
export const SAMPLE_TAKEN_BYTES = 512 * 1024;

/** A sample that is older than so many of its periods says nothing of now: its collector is blind. */
export const FRESH_PERIODS = 3;

export type TelemetryKind = keyof typeof TELEMETRY;
export const TELEMETRY_KINDS = Object.keys(TELEMETRY) as [TelemetryKind, ...TelemetryKind[]];
export type Sample<K extends TelemetryKind> = z.output<(typeof TELEMETRY)[K]["sample"]>;

/** Kinds whose samples carry faults in the common form. */
export const FAULTY_KINDS = ["containers", "services", "certificates", "packages", "wireguard"] as const;
export type FaultyKind = (typeof FAULTY_KINDS)[number];

/** Whether the last word of a kind is too old to tell anything of now. */
export function isBlind(
  { kind, heard_at }: { readonly kind: string; readonly heard_at: number },
  now_ms: number,
): boolean {
  const row = Object.hasOwn(TELEMETRY, kind) ? TELEMETRY[kind as TelemetryKind] : undefined;
  return row !== undefined && now_ms - heard_at > FRESH_PERIODS * row.period_ms;
}

export { BgpSample, ChecksSample, Convergence, Health, watched };
