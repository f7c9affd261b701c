/**
 * One integer of protocol version with its history. A message is never changed in meaning: a new one is added and a line here says so.
 *
 * 1: 2026-11-21: first wire: enrolment, signed manifests and releases, RPC, telemetry of health, bgp and convergence.
 */
export const PROTOCOL_VERSION = 1;
