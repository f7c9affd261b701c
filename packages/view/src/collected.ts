/** What a host's collectors saw, in words: one sentence a row's state, one heading a kind. Instants are by the host's own clock, and so is `there_ms`. Pure. */
import type { CertificateRow, CertificatesSample } from "@muster/protocol/telemetry/certificates";
import type { ContainerRow, ContainersSample } from "@muster/protocol/telemetry/containers";
import type { PackagesSample } from "@muster/protocol/telemetry/packages";
import type { ServiceRow, ServicesSample } from "@muster/protocol/telemetry/services";
import type { WireguardPeer, WireguardSample } from "@muster/protocol/telemetry/wireguard";
import type { Tint } from "./status.ts";
import { countText, durationText, listText, sizeText, timeText } from "./words.ts";

const TINTS: Readonly<Record<string, Tint>> = { ok: "green", idle: "grey", ending: "amber" };

/** What is not known to be well is red. */
export const verdictTint = (verdict: string): Tint => TINTS[verdict] ?? "red";

export const verdictWord = (verdict: string): string => verdict.replaceAll("_", " ");

const ago = (at_ms: number | null, there_ms: number) =>
  at_ms === null ? "-" : durationText(there_ms - at_ms);

export function containersHeading({ engine, containers, left_out }: ContainersSample): string {
  const more = left_out === 0 ? "" : `, ${left_out} more not shown`;
  return engine.reachable
    ? `containers: ${containers.length}${more}`
    : `containers: the Docker engine does not answer: ${engine.error}`;
}

/** `running, healthy, for 3 h 12 min`. */
export function containerState(
  { state, health, since, exit_code, oom_killed, verdict, ended_with }: ContainerRow,
  there_ms: number,
): string {
  // What one that is well ended with before is history.
  const fell = state !== "running" || verdict === "restarting";
  const code = exit_code ?? (fell ? ended_with : null);
  return [
    state,
    ...(health === null ? [] : [health]),
    ...(code === null ? [] : [`code ${code}`]),
    ...(fell && oom_killed === true ? ["out of memory"] : []),
    ...(since === null ? [] : [`for ${ago(since, there_ms)}`]),
  ].join(", ");
}

export const containerImage = ({ image, image_id }: ContainerRow): string =>
  `${image?.startsWith("sha256:") ? "" : (image ?? "-")} ${image_id?.replace("sha256:", "").slice(0, 12) ?? ""}`.trim();

export const memoryText = (used: number | null, most: number | null = null): string =>
  used === null ? "-" : most === null ? sizeText(used) : `${sizeText(used)} of ${sizeText(most)}`;

export const trafficText = (rx: number | null, tx: number | null): string =>
  rx === null || tx === null ? "-" : `${sizeText(rx)} / ${sizeText(tx)}`;

export const servicesHeading = ({ systemd, services }: ServicesSample): string =>
  systemd.reachable ? `services: ${services.length}` : `services: not known: ${systemd.error}`;

/** `active (running), for 41 d`. */
export function serviceState({ active, sub, result, since }: ServiceRow, there_ms: number): string {
  const more = sub === null || sub === "" ? "" : ` (${sub})`;
  return `${active}${more}${result === null ? "" : `, ${result}`}${since === null ? "" : `, for ${ago(since, there_ms)}`}`;
}

export const tunnelsHeading = ({ error, interfaces }: WireguardSample): string =>
  error === null ? `tunnels: ${interfaces.length}` : `tunnels: not known: ${error}`;

/** A tunnel without peers has a row, too. */
export type TunnelRow = {
  readonly tunnel: string;
  readonly state: string;
  readonly verdict: string;
  readonly peer: WireguardPeer | null;
};

export function tunnelRows({ interfaces }: WireguardSample): TunnelRow[] {
  return interfaces.flatMap(({ name: tunnel, state, peers }): TunnelRow[] =>
    peers.length === 0
      ? [{ tunnel, state, peer: null, verdict: state === "up" ? "ok" : state }]
      : peers.map((peer) => ({ tunnel, state, peer, verdict: peer.verdict })),
  );
}

export const handshakeText = (peer: WireguardPeer | null, there_ms: number): string =>
  peer?.handshake_at == null ? "-" : `${ago(peer.handshake_at, there_ms)} ago`;

export const certificatesHeading = ({ certificates }: CertificatesSample): string =>
  `certificates: ${certificates.length}`;

/** `2026-12-01 03:12 UTC (in 5 d)`, or why it was not read. */
export const certificateEnds = ({ not_after, error }: CertificateRow, now_ms: number): string =>
  not_after === null
    ? (error ?? "-")
    : `${timeText(not_after)} (${not_after > now_ms ? `in ${durationText(not_after - now_ms)}` : "over"})`;

export const certificateWhere = ({ where, ref }: CertificateRow): string =>
  where ?? (ref === null ? "given by Muster" : "-");

export function packagesHeading(sample: PackagesSample, there_ms: number): string {
  const { pending, security, refreshed_at, error, updates } = sample;
  const lists = refreshed_at === null ? "" : `, lists of ${ago(refreshed_at, there_ms)} ago`;
  if (pending === null) return `packages: not known: ${error ?? "not asked yet"}${lists}`;
  const wait =
    pending === 0 ? "up to date" : `${countText(pending, "update")}, ${security ?? 0} of them security`;
  const names = updates.filter((each) => each.security).map(({ name, offered }) => `${name} ${offered}`);
  return `packages: ${wait}${lists}${names.length === 0 ? "" : `: ${listText(names)}`}`;
}
