/** RPC `facts`: what the server is. Read anew at each call; nothing here changes by the minute. */
import { z } from "zod";
import { method } from "./method.ts";

export const Facts = z.object({
  hostname: z.string().describe("The machine's own name."),
  os: z.string().describe("Such as: Debian GNU/Linux 12 (bookworm)."),
  kernel: z.string().describe("Release of the kernel: 6.1.0-37-amd64."),
  arch: z.string().describe("Such as: x64, arm64."),
  virtual: z.string().nullable().describe("Kind of virtual machine or container; null = none seen."),
  cpu: z.string().describe("Model of the processor."),
  cores: z.int().describe("Processors that programs see."),
  memory_bytes: z.number().describe("All memory."),
  boot: z.string().optional().describe("Names this boot: another one after every start."),
  boot_at: z.number().describe("When it was started: milliseconds since 1970 UTC."),
  reboot_due: z.boolean().default(false).describe("A package asked for a reboot (/run/reboot-required)."),
  addresses: z
    .array(
      z.object({
        interface: z.string().describe("Name of the interface."),
        address: z.string().describe("Address without its prefix length."),
      }),
    )
    .describe("Addresses of the machine, without those of loopback."),
  bird: z.string().nullable().describe("Version of the BIRD that answers."),
  agent_version: z.string().describe("Version of the agent."),
  groups: z.array(z.string()).describe("By its signed manifest."),
  labels: z.record(z.string(), z.string()).describe("By its signed manifest."),
});
export type Facts = z.infer<typeof Facts>;

export const facts = method({
  what: "What the server is, read anew.",
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({
    brief: z.boolean().optional().describe("Without what is dear to find out: `virtual` is null then."),
  }),
  reply: Facts,
});
