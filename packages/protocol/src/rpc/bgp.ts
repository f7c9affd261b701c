/** RPC `bgp`: every session, declared or seen, judged now; with the path to the neighbour for one session. */
import { z } from "zod";
import { BgpSample } from "../telemetry/bgp.ts";
import { method } from "./method.ts";

/** What the host can say of the way to a neighbour, for the diagnosis of a session that is down. */
export const PathProbe = z.object({
  interface: z.string().nullable().describe("Through which the route leads; null = no route."),
  interface_up: z.boolean().nullable().describe("Whether that interface is up; null = unknown."),
  reply_ms: z.number().nullable().describe("ICMP echo; null = no answer."),
  port_179: z
    .enum(["open", "refused", "silent", "unreachable"])
    .describe("What a TCP connection to the neighbour meets."),
  last_change_here_at: z.number().nullable().describe("When Muster last changed BIRD here."),
});
export type PathProbe = z.infer<typeof PathProbe>;

export const bgp = method({
  what: "Every session, declared or seen, judged now; for one session with the path to its neighbour.",
  authority: "viewer",
  timeout_ms: 10_000,
  request: z.strictObject({
    session: z.string().max(64).optional().describe("With the path to its neighbour."),
  }),
  reply: z.object({
    sample: BgpSample.describe("All sessions, or the one that was asked for."),
    path: PathProbe.nullable().describe("The way to the neighbour; null without `session`."),
  }),
});
