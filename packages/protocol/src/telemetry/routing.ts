/**
 * What a routing daemon says beside its BGP sessions: route origin validation, liveness (BFD), the inner protocols' neighbours and every other
 * protocol by its row. Part of the BGP sample, since one daemon answers for all of it.
 */
import { z } from "zod";

export const Since = z.object({
  at: z.string().nullable().describe("ISO 8601 instant in UTC; null if the daemon's text could not be read."),
  exact: z
    .boolean()
    .describe("False if only the day or the minute is known: then `at` is the start of that day or minute."),
});
export type Since = z.infer<typeof Since>;

export const Timer = z.object({
  remaining_s: z.number().describe("Seconds left."),
  total_s: z.number().describe("Seconds that it runs in all."),
});
export type Timer = z.infer<typeof Timer>;

export const RpkiSession = z.object({
  name: z.string().describe("The protocol's name in the daemon."),
  state: z.string().describe("The daemon's own word in lower case: established, transport-error, …"),
  since: Since.describe("Since when the protocol's state holds."),
  server: z.string().nullable().describe("Cache server, with its port if the daemon tells it."),
  transport: z.string().nullable().describe("As the daemon prints it: unprotected or SSH."),
  serial: z.int().nullable().describe("Serial number of the data; null = none was ever had."),
  last_update_s: z.number().nullable().describe("Seconds since the last update; null = there was none."),
  expire_timer: Timer.nullable().describe("When the data is dropped if the server stays away."),
  roas: z
    .int()
    .nullable()
    .describe("ROAs that it gave, over all families; null = unknown, as while it is down."),
});
export type RpkiSession = z.infer<typeof RpkiSession>;

export const RoaTable = z.object({
  table: z.string().describe("Name of the table."),
  roas: z
    .int()
    .describe("ROAs in it: 0 lets every check for `invalid` pass and every check for `valid` fail."),
});
export type RoaTable = z.infer<typeof RoaTable>;

export const BfdSession = z.object({
  protocol: z.string().describe("The BFD protocol that has it."),
  address: z.string().describe("Address of the neighbour."),
  interface: z.string().nullable().describe("Interface; null for a multihop one."),
  state: z.string().describe("up, down, init or admindown, in lower case."),
  since: Since.describe("Since when the state holds."),
  interval_s: z.number().nullable().describe("Seconds between two packets."),
  timeout_s: z.number().nullable().describe("Seconds of silence after which it is down; 0 while it is down."),
});
export type BfdSession = z.infer<typeof BfdSession>;

export const InnerNeighbor = z.object({
  protocol: z.string().describe("Name of the protocol in the daemon."),
  kind: z.enum(["ospf", "babel"]).catch("ospf").describe("ospf (both versions) or babel."),
  address: z.string().describe("Address of the neighbour."),
  id: z.string().nullable().describe("Router id; null where the protocol has none."),
  interface: z.string().describe("Interface."),
  state: z
    .string()
    .nullable()
    .describe("OSPF: state and role, such as Full/DR; null for Babel, which knows no states."),
  metric: z.int().nullable().describe("Babel: cost of the link; 65535 = unusable."),
  routes: z.int().nullable().describe("Babel: routes that it announces."),
  expires_s: z.number().nullable().describe("Seconds until it is given up unless it is heard again."),
});
export type InnerNeighbor = z.infer<typeof InnerNeighbor>;

export const OtherProtocol = z.object({
  name: z.string().describe("Name in the daemon."),
  kind: z
    .string()
    .describe("The daemon's word for what it is: Kernel, Static, OSPF, …; also one never heard of."),
  table: z.string().nullable().describe("Routing table; null where the row names none."),
  state: z.string().describe("up, start, down, stop or flush, in lower case."),
  since: Since.describe("Since when the state holds."),
  info: z.string().nullable().describe("The Info column as printed."),
});
export type OtherProtocol = z.infer<typeof OtherProtocol>;
