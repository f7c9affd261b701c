/** RPC `images`: which image a name stands for on this host's Docker engine, for images that no registry has. */
import { z } from "zod";
import { ImageName } from "../resources/container.ts";
import { method } from "./method.ts";

export const images = method({
  what: "Which image a name stands for on this host's Docker engine.",
  authority: "operator",
  for_ci: true,
  audited: "sums",
  timeout_ms: 15_000,
  request: z.strictObject({
    images: z.array(ImageName.describe("Name and tag.")).min(1).max(64).describe("Names to look up."),
  }),
  reply: z.object({
    images: z
      .array(
        z.object({
          image: z.string().describe("As it was asked for."),
          id: z
            .string()
            .regex(/^sha256:[0-9a-f]{64}$/)
            .nullable()
            .describe("Its id; null when there is none of that name."),
        }),
      )
      .describe("One for each name."),
  }),
});
