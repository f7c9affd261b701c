/** An absolute, normalised path on the host, as names of files and directories are. */
import { z } from "zod";

export const AbsolutePath = z
  .string()
  .max(255)
  .regex(
    /^\/(?!.*(?:\/\/|\/\.{1,2}(?:\/|$)))[^\p{Cc}]*[^/\p{Cc}]$/u,
    "must be an absolute path without //, . or .. and without / at the end",
  );

/** Permission bits as a quoted string. */
export const Mode = z
  .string()
  .regex(/^0[0-7]{3}$|^[0-7]{4}$/, 'must be a quoted string of octal digits such as "0644"')
  .describe("Permission bits, a quoted string.");

/** A user or group by name. */
export const Account = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be a user or group name");
