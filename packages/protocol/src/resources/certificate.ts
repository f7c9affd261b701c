/**
 * Kind `certificate`: a certificate that is watched, in a file of the host or at an address that the host can reach. Nothing is changed for it: what is wrong
 * with it is told by telemetry `certificates`. (Certificates that Muster issues for a service will be of this kind too.)
 */
import { z } from "zod";
import { AbsolutePath } from "./path.ts";

/** `name:port`, `198.51.100.1:port` or `[v6]:port`. */
const Address = z
  .string()
  .max(300)
  .regex(
    /^(\[[0-9a-fA-F:.]+(%[A-Za-z0-9_.-]+)?\]|[A-Za-z0-9_.-]+):[1-9]\d{0,4}$/,
    "must be host:port, such as www.as64500.example:443 or [2001:db8::1]:443",
  );

const Span = z.string().regex(/^[1-9]\d{0,3}[dh]$/, "must be a time such as 21d or 12h");

/** `21d` → 1814400000. */
export const spanMs = (text: string): number =>
  Number.parseInt(text, 10) * (text.endsWith("d") ? 86_400_000 : 3_600_000);

export const Certificate = z
  .strictObject({
    file: AbsolutePath.optional().describe("PEM file on the host; the first certificate in it is the one."),
    connect: Address.optional().describe("Or host:port, where a TLS server shows it."),
    names: z
      .array(z.string().min(1).max(253))
      .max(32)
      .default([])
      .describe("Names that it must be for; with `connect` by default the host asked for."),
    warn: Span.optional().describe(
      "How long before its end it should have been renewed; by default a third of its life, 21 days at most.",
    ),
  })
  .refine(
    ({ file, connect }) => (file === undefined) !== (connect === undefined),
    "a certificate has either file or connect",
  )
  .describe(
    "A certificate that is watched: in a file of the host, or shown at an address that it can reach.",
  );
export type Certificate = z.infer<typeof Certificate>;
