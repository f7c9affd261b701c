/**
 * Kind `file`: content, owner and mode of one file; the name is its path. Replaced by rename, so that nobody reads half of it. The content stands
 * in the manifest (`content`), or by its hash (`blob`) when it is over 16 KiB or no text.
 */
import { z } from "zod";
import { BlobRef } from "../blob.ts";
import { Account, Mode } from "./path.ts";

/** The largest content that is taken inside a manifest, in bytes: protocol version 1 wrote so much. `ctl` writes up to `INLINE_BYTES`. */
export const INLINE_CONTENT_BYTES = 256 * 1024;

/** A service that is told of a change: `service/NAME`. */
const ServiceRef = z
  .string()
  .regex(/^service\/[A-Za-z0-9@_.:-]+$/, "must be service/NAME")
  .describe("The service that is told, as service/NAME.");

export const File = z
  .strictObject({
    content: z
      .string()
      .refine(
        (text) => Buffer.byteLength(text) <= INLINE_CONTENT_BYTES,
        `must be at most ${INLINE_CONTENT_BYTES} bytes`,
      )
      .optional()
      .describe("The whole text. In the folder it comes from `template`, `source` or `content`."),
    blob: BlobRef.optional().describe(
      "Muster's own, instead of `content`: over 16 KiB, or no text, it goes by its hash.",
    ),
    owner: Account.default("root").describe("User that owns it."),
    group: Account.default("root").describe("Group that owns it."),
    mode: Mode.default("0644").describe("Permission bits, a quoted string."),
    validate: z
      .array(z.string().max(1_024))
      .min(1)
      .max(32)
      .optional()
      .describe(
        "Command and arguments that must end with 0 before the file is put in place; `%s` is the new file.",
      ),
    on_change: z
      .union([z.strictObject({ reload: ServiceRef }), z.strictObject({ restart: ServiceRef })])
      .optional()
      .describe("Which service is reloaded or restarted after a change."),
  })
  .superRefine((spec, context) => {
    if ((spec.content === undefined) === (spec.blob === undefined))
      context.addIssue({ code: "custom", path: ["content"], message: "must be there, or `blob` instead" });
  })
  .describe(
    "One file: its content, owner and mode. The name is its path. Replaced by rename, so that nobody reads half of it.",
  );
export type File = z.infer<typeof File>;
