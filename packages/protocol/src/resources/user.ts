/** Kind `user`: an account of the host, its groups and the ssh keys that open it. The name is the log-in name. */
import { z } from "zod";
import { AbsolutePath, Account } from "./path.ts";

/** One line of authorized_keys: options, if any, then type, key and comment (sshd(8)). */
const AuthorizedKey = z
  .string()
  .max(8_192)
  .regex(
    /^([^\s#][^\n]*\s)?(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]+=*( [^\p{Cc}]*)?$/u,
    "must be one line of authorized_keys: [options] ssh-ed25519 AAAA… [comment]",
  );

export const User = z
  .strictObject({
    uid: z
      .int()
      .min(1)
      .max(4_294_967_294)
      .optional()
      .describe(
        "Its number; without it the next one that is free. An account that is there is not renumbered.",
      ),
    system: z.boolean().default(false).describe("Made as a system account (a number below 1000, no ageing)."),
    groups: z
      .array(Account)
      .max(64)
      .optional()
      .describe("All groups beside its own, which must exist; without it, as they are on the host."),
    shell: AbsolutePath.default("/bin/bash").describe("Log-in shell."),
    home: AbsolutePath.optional().describe("Home directory; without it /home/NAME. Made with the account."),
    comment: z
      .string()
      .max(128)
      .regex(/^[^:\p{Cc}]*$/u, "must be one line without a colon")
      .optional()
      .describe("Full name."),
    authorized_keys: z
      .array(AuthorizedKey)
      .max(256)
      .optional()
      .describe(
        "All ssh keys that open it, one line each, options first; without it the file is left alone.",
      ),
    password: z
      .enum(["locked", "keep"])
      .default("keep")
      .describe("A new account has none. `locked` also locks one that somebody has set; `keep` leaves it."),
  })
  .describe("An account of the host, its groups and the ssh keys that open it. The name is the log-in name.");
export type User = z.infer<typeof User>;
