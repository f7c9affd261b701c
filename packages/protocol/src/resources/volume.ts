/**
 * Kind `volume`: a Docker volume that is there. What is in it is not touched, and it is never removed: `ctl host prune` is for that. The name is
 * the volume's. All keys are those of a Compose file.
 */
import { z } from "zod";
import { Labels } from "./network.ts";

export const Volume = z
  .strictObject({
    driver: z
      .string()
      .max(255)
      .regex(/^[A-Za-z0-9][A-Za-z0-9/._:-]*$/, "must be the name of a volume driver")
      .default("local")
      .describe("Docker's volume driver."),
    driver_opts: z
      .record(z.string().max(255), z.union([z.string().max(1_024), z.number()]).transform(String))
      .default({})
      .describe("Options of the driver, such as type, device and o of `local`. Only at its making."),
    labels: Labels.default({}).describe("For other programs. Only at its making."),
  })
  .describe("A Docker volume that is there. What is in it is not touched, and it is never removed.");
export type Volume = z.infer<typeof Volume>;
