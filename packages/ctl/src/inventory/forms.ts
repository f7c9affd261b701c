/**
 * How the folder's files may be written where that differs from the manifest: names of templates instead of their text, short forms, what `ctl`
 * fills in by itself. The JSON Schema for editors and the reference are made from this; `render.ts` reads the same forms.
 */
import { FleetName, ResourceRef } from "@muster/protocol/names";
import { type Kind, OnDriftSchema } from "@muster/protocol/resources/index";
import { z } from "zod";
import { MetricsAt } from "./metrics-at.ts";

/** muster.yml. */
export const MusterFile = z.strictObject({
  fleet: FleetName,
  labels: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, "must be the name of a variable"))
    .optional()
    .describe("Host variables to select by: `ctl status site=ams`."),
  rollout: z
    .strictObject({
      waves: z
        .array(z.string())
        .optional()
        .describe("Selectors: who gets a change first, who next. Hosts in none of them come last."),
      never_together: z
        .array(z.string())
        .optional()
        .describe("Labels: hosts with the same value are never changed at the same time."),
    })
    .optional()
    .describe("How a change goes out."),
});

/** What every resource of every kind may have beside its own fields. */
export const CommonFields = z.strictObject({
  needs: z
    .array(ResourceRef)
    .optional()
    .describe("What must be in place before, beyond what follows from use."),
  on_drift: OnDriftSchema.optional(),
  absent: z.boolean().optional().describe("true drops the resource that a more general file declares."),
});

/** How one kind is written in the folder. */
export type Form = {
  /** Fields that only the folder has, or that look different there. */
  readonly fields?: Readonly<Record<string, z.ZodType>>;
  /** Fields of the manifest that nobody writes. */
  readonly without?: readonly string[];
  /** Of these exactly one. */
  readonly one_of?: readonly string[];
  /** What may stand instead of the map of fields. */
  readonly short?: z.ZodType;
};

const TemplateName = z.string().max(255);

export const FORMS: { readonly [K in Kind]?: Form } = {
  file: {
    without: ["blob"],
    fields: {
      template: TemplateName.describe("Name of a template below templates/, rendered for the host."),
      source: z.string().max(255).describe("Name of a file below files/, copied as it is."),
      content: z.string().describe("The text itself; a template when it holds {{ or {%."),
      validate: z
        .union([z.string(), z.array(z.string()).min(1).max(32)])
        .describe("Command that must end with 0 before the file is put in place; `%s` is the new file."),
    },
    one_of: ["content", "template", "source"],
  },
  bird: {
    fields: { config: TemplateName.describe("Name of a template below templates/; becomes bird.conf.") },
  },
  sysctl: {
    fields: {
      value: z.union([z.string(), z.number()]).describe("As sysctl prints it; several fields by one space."),
    },
    short: z.union([z.string(), z.number()]).describe("Short for { value: … }."),
  },
  service: { fields: { metrics: MetricsAt.optional() } },
  container: {
    without: ["pin"],
    fields: {
      metrics: MetricsAt.optional(),
      files: z
        .record(z.string().startsWith("/"), z.string())
        .describe("Directory in the container → folder of templates below templates/; mounted read-only."),
    },
  },
};
