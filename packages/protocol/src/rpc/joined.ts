/** RPC `joined`: by whose word the host was let in under its name, so that whoever asks can prove it. */
import { z } from "zod";
import { Joined } from "../join.ts";
import { method } from "./method.ts";

export const joined = method({
  what: "By whose join string the host was let in, with its own proof.",
  authority: "operator",
  for_ci: true,
  timeout_ms: 5_000,
  request: z.strictObject({}),
  reply: z.object({
    joined: Joined.nullable().describe("Null for a host that came without a join string, or lost it."),
  }),
});
