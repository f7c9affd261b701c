/** Kind `directory`: exists with that owner and mode. The name is its path. What is inside is not touched. */
import { z } from "zod";
import { Account, Mode } from "./path.ts";

export const Directory = z
  .strictObject({
    owner: Account.default("root").describe("User that owns it."),
    group: Account.default("root").describe("Group that owns it."),
    mode: Mode.default("0755").describe("Permission bits, a quoted string."),
  })
  .describe("A directory with that owner and mode. The name is its path; what is inside is not touched.");
export type Directory = z.infer<typeof Directory>;
