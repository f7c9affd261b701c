/**
 * Telemetry `packages`: what of Debian's packages could be renewed, out of apt's own lists, and the declared packages as they are. The lists are never fetched
 * for it: `refreshed_at` says how old they are, and what follows from old ones is not known. Asked when dpkg or the lists have changed, else once a day.
 */
import { z } from "zod";
import { Instant, ResourceRef } from "../names.ts";
import { faulty } from "./fault.ts";

/** The last answer goes out again so often, with its own time in it. */
export const PACKAGES_PERIOD_MS = 600_000;
/** Lists that are older than this say nothing of now. */
export const LISTS_OLD_MS = 14 * 86_400_000;

export const PendingPackage = z.object({
  name: z.string().describe("Name of the package."),
  installed: z
    .string()
    .nullable()
    .describe("The version that is there; null = a new one that comes with another."),
  offered: z.string().describe("The version that could be."),
  security: z.boolean().describe("It comes from an archive of security updates."),
});
export type PendingPackage = z.infer<typeof PendingPackage>;

export const DeclaredPackage = z.object({
  name: z.string().describe("Name of the package."),
  ref: ResourceRef,
  wanted: z.string().describe("`installed`, `absent`, or the version that is declared."),
  version: z.string().nullable().describe("What is installed; null = it is not."),
  broken: z
    .string()
    .nullable()
    .describe("dpkg's word for one that is neither installed nor not; null = all is well."),
  ok: z.boolean().describe("Whether it is as declared."),
});
export type DeclaredPackage = z.infer<typeof DeclaredPackage>;

export const PackagesSample = z
  .object({
    ...faulty,
    asked_at: Instant.nullable().describe("When apt was asked last; null = not yet, or it could not be."),
    refreshed_at: Instant.nullable().describe(
      "When apt's lists were fetched last; null = never, or not known.",
    ),
    error: z.string().nullable().describe("Why apt gave no answer, in its words."),
    pending: z
      .int()
      .nullable()
      .describe(
        "Packages that could be renewed; null = not known, as with lists that are missing or 14 days old.",
      ),
    security: z.int().nullable().describe("Those of them that are security updates; null as `pending`."),
    updates: z.array(PendingPackage).max(200).describe("Security updates first; of more only so many."),
    declared: z
      .array(DeclaredPackage)
      .max(1_000)
      .describe("One for each declared package, installed or not."),
  })
  .describe("Pending updates out of apt's lists, and the declared packages.");
export type PackagesSample = z.infer<typeof PackagesSample>;
