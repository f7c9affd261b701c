/**
 * Telemetry `certificates`: every certificate that Muster gave the host, and every one that the inventory lists by file or by address. Files are looked at
 * once a minute, addresses every ten.
 */
import { z } from "zod";
import { Instant, ResourceRef } from "../names.ts";
import { faulty } from "./fault.ts";

export const CERTIFICATES_PERIOD_MS = 60_000;

export const CertificateVerdict = z
  .enum(["ok", "ending", "ended", "not_yet", "missing", "unreadable", "unreachable", "mismatch", "unknown"])
  .catch("unknown");
export type CertificateVerdict = z.infer<typeof CertificateVerdict>;

export const CertificateRow = z.object({
  name: z
    .string()
    .describe("Its name: of one that Muster gave bus, identity, service or ssh; else as declared."),
  ref: ResourceRef.nullable().describe(
    "The declared resource; null for one that Muster gave the host itself.",
  ),
  where: z.string().nullable().describe("File or host:port; null = the agent keeps it."),
  subject: z.string().nullable().describe("Whom it names, as printed; null = not read."),
  names: z
    .array(z.string())
    .max(100)
    .describe("Names and addresses that it is for; empty = none, or not read."),
  issuer: z.string().nullable().describe("Who issued it, as printed; null = not read."),
  serial: z.string().nullable().describe("Its serial number in hexadecimal digits; null = not read."),
  not_before: Instant.nullable().describe("From when it holds; null = not read."),
  not_after: Instant.nullable().describe("Until when it holds; null = not read."),
  chain_ends: Instant.nullable().describe(
    "When the first of what comes with it ends; null = nothing does, or not read.",
  ),
  looked_at: Instant.nullable().describe("When it was last read; null = not yet."),
  error: z.string().nullable().describe("Why it could not be read."),
  verdict: CertificateVerdict.describe(
    "`ending`: less is left than `warn`; `mismatch`: it is for other names.",
  ),
});
export type CertificateRow = z.infer<typeof CertificateRow>;

export const CertificatesSample = z
  .object({
    ...faulty,
    certificates: z
      .array(CertificateRow)
      .max(300)
      .describe("One for each, also for those that are not there."),
  })
  .describe("Certificates on the host and those that the inventory lists, with when they end.");
export type CertificatesSample = z.infer<typeof CertificatesSample>;
