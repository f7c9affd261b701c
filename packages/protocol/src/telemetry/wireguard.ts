/**
 * Telemetry `wireguard`: the tunnels of the host with their peers, once a minute. What wg-quick starts at boot, and every peer in its file, is expected:
 * one that is not there stands in the sample as `missing`. Keys that are secret are read past and never kept.
 */
import { z } from "zod";
import { Instant } from "../names.ts";
import { faulty } from "./fault.ts";

export const WIREGUARD_PERIOD_MS = 60_000;
/** A peer that is talked to shakes hands every 2 min, and gives up a session after 3 (WireGuard's REJECT_AFTER_TIME). */
export const HANDSHAKE_OLD_MS = 180_000;

export const PeerVerdict = z.enum(["ok", "idle", "stale", "never", "missing", "unknown"]).catch("unknown");
export type PeerVerdict = z.infer<typeof PeerVerdict>;

export const WireguardPeer = z.object({
  public_key: z.string().describe("By which it is known."),
  declared: z.boolean().describe("It stands in the interface's file."),
  endpoint: z
    .string()
    .nullable()
    .describe("Address and port that it was last heard from, or is to be reached at."),
  allowed_ips: z
    .array(z.string())
    .max(64)
    .describe("What may come from it and goes to it; of more only so many."),
  handshake_at: Instant.nullable().describe("When hands were last shaken; null = never."),
  rx_bytes: z.int().nullable().describe("Received from it; null = it is not there."),
  tx_bytes: z.int().nullable().describe("Sent to it; null = it is not there."),
  keepalive_s: z.int().nullable().describe("Seconds between two keepalives; null = none."),
  verdict: PeerVerdict.describe(
    "`stale`: it should answer (keepalive) and has not for 3 min; `idle`: nobody talks to it.",
  ),
});
export type WireguardPeer = z.infer<typeof WireguardPeer>;

export const WireguardInterface = z.object({
  name: z.string().describe("Name of the interface."),
  state: z
    .enum(["up", "down", "missing", "unknown"])
    .catch("unknown")
    .describe("`missing`: expected and not there."),
  expected: z.boolean().describe("wg-quick starts it at boot."),
  public_key: z.string().nullable().describe("Its own public key; null = none, or not known."),
  listen_port: z.int().nullable().describe("UDP port; null = not known."),
  peers: z.array(WireguardPeer).max(1_000).describe("Its peers; of more only so many."),
});
export type WireguardInterface = z.infer<typeof WireguardInterface>;

export const WireguardSample = z
  .object({
    ...faulty,
    error: z
      .string()
      .nullable()
      .describe("Why nothing is known of the peers, in the words of wg; null = it is."),
    interfaces: z
      .array(WireguardInterface)
      .max(200)
      .describe("Those that are there, and those that are expected."),
  })
  .describe("WireGuard tunnels and their peers.");
export type WireguardSample = z.infer<typeof WireguardSample>;
