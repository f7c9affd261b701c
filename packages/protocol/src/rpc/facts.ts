/** RPC `facts`: what the server is. Read anew at each call; nothing here changes by the minute. */
import { z } from "zod";
import { method } from "./method.ts";

export const Facts = z.object({
  hostname: z.string(),
  os: z.string(),
  kernel: z.string(),
  arch: z.string(),
  virtual: z.string().nullable(),
  cpu: z.string(),
  cores: z.int(),
  memory_bytes: z.number(),
  boot_at: z.number(),
  addresses: z.array(z.object({ interface: z.string(), address: z.string() })),
  bird: z.string().nullable().describe("Version of the BIRD that answers."),
  agent_version: z.string(),
  groups: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
});
export type Facts = z.infer<typeof Facts>;

export const facts = method({
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({}),
  reply: Facts,
});
