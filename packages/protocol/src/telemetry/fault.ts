/**
 * What a collector finds wrong, in sentences: the same form for every kind but `bgp`, which is older. The words of a fault stay the same while it lasts, so
 * that one change is one event: no ages in them, those follow from `since`.
 */
import { z } from "zod";
import { Instant, ResourceRef } from "../names.ts";

export const FAULTS_LIMIT = 100;

export const Fault = z.object({
  colour: z.enum(["red", "amber"]).catch("red").describe("How grave it is."),
  what: z.string().max(500).describe("What is wrong, in a sentence."),
  about: z
    .string()
    .nullable()
    .describe("The row of the sample that it is about, one fault a row; null = all of it."),
  ref: ResourceRef.nullable()
    .default(null)
    .describe("The declared resource that it is about; null = none is declared."),
  since: Instant.nullable().default(null),
});
export type Fault = z.infer<typeof Fault>;

/** What a host lacks by one kind of telemetry, as it is shown beside its state. */
export const KindFaults = z.object({
  kind: z.string().describe("Which telemetry."),
  heard_at: Instant,
  faults: z.array(Fault).describe("What is wrong; empty = nothing is."),
});
export type KindFaults = z.infer<typeof KindFaults>;

/** What every sample with faults has. */
export const faulty = {
  at: Instant,
  present: z
    .boolean()
    .describe(
      "False: the host has none of it and nothing of it is declared. Such a host says so now and then only.",
    ),
  faults: z.array(Fault).max(FAULTS_LIMIT).describe("What is wrong; of more than fit the gravest."),
} as const;

/** Red first, and as many as fit. */
export const gravest = (faults: readonly Fault[]): Fault[] =>
  [...faults]
    .sort((one, other) => Number(one.colour === "amber") - Number(other.colour === "amber"))
    .slice(0, FAULTS_LIMIT);
