/**
 * One integer of protocol version with its history. A message is never changed in meaning: a new one is added and a line here says so.
 *
 * 1: 2026-11-21: first wire: enrolment, signed manifests and releases, RPC, telemetry of health, bgp and convergence.
 * 2: 2026-11-25: content over 16 KiB goes by its hash (`blob` beside `content` in kind `file`), through stream BLOB and the `ctl` methods
 *    `blobs` and `blob`; kinds network, volume and container; RPC `images`.
 */
export const PROTOCOL_VERSION = 2;
