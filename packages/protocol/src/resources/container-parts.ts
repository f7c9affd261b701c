/** Parts of the kind `container` that are Muster's own: its files, what a change of them does, when it is ready, how long its log may grow. */
import { z } from "zod";
import { BlobRef } from "../blob.ts";
import { Duration, Size } from "./amount.ts";
import { INLINE_CONTENT_BYTES } from "./file.ts";
import { Mode } from "./path.ts";

/** Command and arguments: as a list, or as one line that a shell in the container reads. */
export const Command = z.union([
  z.array(z.string().max(8_192)).min(1).max(256),
  z
    .string()
    .min(1)
    .max(8_192)
    .transform((line) => ["/bin/sh", "-c", line]),
]);

/** A path below the target directory, without `.`, `..` and a slash at either end. */
export const InnerPath = z
  .string()
  .max(255)
  .regex(
    /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))(?!.*\/\/)[^/\p{Cc}](?:[^\p{Cc}]*[^/\p{Cc}])?$/u,
    "must be a path inside of the directory, such as rules/node.yml",
  );

/** One file of a folder. Content over 16 KiB may come by its hash, through stream BLOB. */
export const ContainerFile = z.union([
  z.strictObject({
    content: z
      .string()
      .refine(
        (text) => Buffer.byteLength(text) <= INLINE_CONTENT_BYTES,
        `must be at most ${INLINE_CONTENT_BYTES} bytes; larger ones go by their hash`,
      )
      .describe("The whole text."),
    mode: Mode.default("0644"),
  }),
  z.strictObject({
    blob: BlobRef.describe("A content that travels on its own, by its hash."),
    mode: Mode.default("0644"),
  }),
]);
export type ContainerFile = z.infer<typeof ContainerFile>;

/** What a container does when one of its files changes. */
export const OnChange = z.union(
  [
    z.enum(["restart", "none"]),
    z.strictObject({
      signal: z
        .string()
        .regex(/^(?:SIG)?[A-Z][A-Z0-9+-]{1,11}$/, "must be a signal such as HUP")
        .describe("Sent to its main process."),
    }),
    z.strictObject({ exec: Command.describe("Run in the container; must end with 0.") }),
  ],
  "expected restart, none, { signal: HUP } or { exec: [command, argument] }",
);
export type OnChange = z.infer<typeof OnChange>;

const Web = z
  .string()
  .max(1_024)
  .regex(/^:\d{1,5}\/[\x21-\x7e]*$/, "must be a port and a path of the container, such as :9090/-/ready")
  .describe("Port and path that must answer with 2xx.");
const Within = Duration.default("60s").describe("How long it may take; then the old one comes back.");

/** Exactly one way. Asked over the container's own address. */
export const Ready = z.union(
  [
    z.strictObject({ http: Web, within: Within }),
    z.strictObject({ https: Web, within: Within }),
    z.strictObject({
      tcp: z
        .string()
        .regex(/^:\d{1,5}$/, "must be a port of the container, such as :5432")
        .describe("Port that must take a connection."),
      within: Within,
    }),
    z.strictObject({ command: Command.describe("Run in the container; must end with 0."), within: Within }),
  ],
  "expected one of { http: :9090/-/ready }, { https: :3000/health }, { tcp: :5432 }, { command: [pg_isready] }",
);
export type Ready = z.infer<typeof Ready>;

/** As in a Compose file. */
export const Healthcheck = z.union([
  z.strictObject({ disable: z.literal(true).describe("No check, also when the image has one.") }),
  z.strictObject({
    test: z
      .union([
        z.tuple([z.enum(["CMD", "CMD-SHELL"])], z.string().max(8_192)),
        z
          .string()
          .max(8_192)
          .transform((line): ["CMD-SHELL", ...string[]] => ["CMD-SHELL", line]),
      ])
      .describe('["CMD", program, argument …], ["CMD-SHELL", line], or a line.'),
    interval: Duration.default("30s").describe("Between two checks."),
    timeout: Duration.default("30s").describe("How long one may take."),
    start_period: Duration.default("0s").describe("Failures do not count so long after the start."),
    retries: z.int().min(1).max(100).default(3).describe("Failures in a row that make it unhealthy."),
  }),
]);
export type Healthcheck = z.infer<typeof Healthcheck>;

export const ContainerLog = z.strictObject({
  max_size: Size.default("10m").describe("Of one log file on the host, compressed or not."),
  max_files: z.int().min(1).max(100).default(3).describe("How many of them are kept."),
});
