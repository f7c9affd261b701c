/** What a host's collectors saw, as tables under headings, for `ctl health HOST`. Pure. */
import type { Collected } from "@muster/protocol/rpc/health";
import type { CertificateRow } from "@muster/protocol/telemetry/certificates";
import type { ContainerRow } from "@muster/protocol/telemetry/containers";
import type { ServiceRow } from "@muster/protocol/telemetry/services";
import type { WireguardPeer } from "@muster/protocol/telemetry/wireguard";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { countText, durationText, listText, timeText } from "../output/words.ts";
import { sizeText } from "./facts.ts";

/** A heading with what stands below it; the table's type stays between its rows and its columns. */
export type Section = {
  readonly heading: string;
  print(table: <R>(rows: readonly R[], columns: readonly Column<R>[]) => void): void;
};

const section = <R>(heading: string, rows: readonly R[], columns: readonly Column<R>[]): Section => ({
  heading,
  print: (table) => {
    if (rows.length > 0) table(rows, columns);
  },
});

/** By kind; what the host has nothing of is left out. */
export function collectedSections(collected: Collected, colour: Colour, now_ms: number): Section[] {
  const { containers, services, certificates, packages, wireguard } = collected;
  const word = wordIn(colour);
  const ago = (at_ms: number | null) => (at_ms === null ? "-" : durationText(now_ms - at_ms));
  return [
    ...(containers?.present === true ? [containerSection(containers, word, ago)] : []),
    ...(services?.present === true ? [serviceSection(services, word, ago)] : []),
    ...(wireguard?.present === true ? [tunnelSection(wireguard, word, ago)] : []),
    ...(certificates?.present === true ? [certificateSection(certificates, word, now_ms)] : []),
    ...(packages?.present === true ? [packageSection(packages, ago)] : []),
  ];
}

type Word = (verdict: string) => string;
type Ago = (at_ms: number | null) => string;

const QUIET: readonly string[] = ["idle"];
const AMBER: readonly string[] = ["ending"];

function wordIn(colour: Colour): Word {
  return (verdict) => {
    const text = verdict.replaceAll("_", " ");
    if (verdict === "ok") return colour.green(text);
    if (QUIET.includes(verdict)) return text;
    return AMBER.includes(verdict) ? colour.amber(text) : colour.red(text);
  };
}

function containerSection(
  { engine, containers, left_out }: NonNullable<Collected["containers"]>,
  word: Word,
  ago: Ago,
): Section {
  const more = left_out === 0 ? "" : `, ${left_out} more not shown`;
  const heading = engine.reachable
    ? `containers: ${containers.length}${more}`
    : `containers: the Docker engine does not answer: ${engine.error}`;
  const columns: Column<ContainerRow>[] = [
    { title: "CONTAINER", value: ({ name, declared }) => (declared ? name : `${name} (not Muster's)`) },
    { title: "", value: ({ verdict }) => word(verdict) },
    {
      title: "STATE",
      value: ({ state, health, since, exit_code, oom_killed }) =>
        [
          state,
          ...(health === null ? [] : [health]),
          ...(exit_code === null ? [] : [`code ${exit_code}`]),
          ...(oom_killed === true ? ["out of memory"] : []),
          ...(since === null ? [] : [`for ${ago(since)}`]),
        ].join(", "),
    },
    {
      title: "RESTARTS",
      value: ({ restarts }) => (restarts === null ? "-" : String(restarts)),
      align: "right",
    },
    {
      title: "CPU",
      value: ({ cpu }) => (cpu === null ? "-" : `${(cpu * 100).toFixed(1)} %`),
      align: "right",
    },
    {
      title: "MEMORY",
      value: ({ memory_bytes: used, memory_limit_bytes: most }) =>
        used === null ? "-" : most === null ? sizeText(used) : `${sizeText(used)} of ${sizeText(most)}`,
      align: "right",
    },
    {
      title: "IN / OUT",
      value: ({ rx_bytes: rx, tx_bytes: tx }) =>
        rx === null || tx === null ? "-" : `${sizeText(rx)} / ${sizeText(tx)}`,
      align: "right",
    },
    {
      title: "IMAGE",
      value: ({ image, image_id }) =>
        `${image?.startsWith("sha256:") ? "" : (image ?? "-")} ${image_id?.replace("sha256:", "").slice(0, 12) ?? ""}`.trim(),
    },
  ];
  return section(heading, containers, columns);
}

function serviceSection(
  { systemd, services }: NonNullable<Collected["services"]>,
  word: Word,
  ago: Ago,
): Section {
  const heading = systemd.reachable
    ? `services: ${services.length}`
    : `services: not known: ${systemd.error}`;
  const columns: Column<ServiceRow>[] = [
    { title: "UNIT", value: ({ unit }) => unit },
    { title: "", value: ({ verdict }) => word(verdict) },
    {
      title: "STATE",
      value: ({ active, sub, result, since }) =>
        `${active}${sub === null || sub === "" ? "" : ` (${sub})`}${result === null ? "" : `, ${result}`}${since === null ? "" : `, for ${ago(since)}`}`,
    },
    {
      title: "RESTARTS",
      value: ({ restarts }) => (restarts === null ? "-" : String(restarts)),
      align: "right",
    },
    {
      title: "MEMORY",
      value: ({ memory_bytes }) => (memory_bytes === null ? "-" : sizeText(memory_bytes)),
      align: "right",
    },
  ];
  return section(heading, services, columns);
}

function tunnelSection(
  { error, interfaces }: NonNullable<Collected["wireguard"]>,
  word: Word,
  ago: Ago,
): Section {
  type Row = { readonly tunnel: string; readonly state: string; readonly peer: WireguardPeer | null };
  const rows = interfaces.flatMap(({ name, state, peers }): Row[] =>
    peers.length === 0
      ? [{ tunnel: name, state, peer: null }]
      : peers.map((peer) => ({ tunnel: name, state, peer })),
  );
  const columns: Column<Row>[] = [
    { title: "TUNNEL", value: ({ tunnel, state }) => (state === "up" ? tunnel : `${tunnel} (${state})`) },
    { title: "", value: ({ peer, state }) => word(peer?.verdict ?? (state === "up" ? "ok" : state)) },
    { title: "PEER", value: ({ peer }) => (peer === null ? "-" : `${peer.public_key.slice(0, 10)}…`) },
    { title: "ENDPOINT", value: ({ peer }) => peer?.endpoint ?? "-" },
    {
      title: "HANDSHAKE",
      value: ({ peer }) => (peer?.handshake_at == null ? "-" : `${ago(peer.handshake_at)} ago`),
      align: "right",
    },
    {
      title: "IN / OUT",
      value: ({ peer }) =>
        peer === null || peer.rx_bytes === null || peer.tx_bytes === null
          ? "-"
          : `${sizeText(peer.rx_bytes)} / ${sizeText(peer.tx_bytes)}`,
      align: "right",
    },
  ];
  return section(
    error === null ? `tunnels: ${interfaces.length}` : `tunnels: not known: ${error}`,
    rows,
    columns,
  );
}

function certificateSection(
  { certificates }: NonNullable<Collected["certificates"]>,
  word: Word,
  now_ms: number,
): Section {
  const columns: Column<CertificateRow>[] = [
    { title: "CERTIFICATE", value: ({ name }) => name },
    { title: "", value: ({ verdict }) => word(verdict) },
    {
      title: "ENDS",
      value: ({ not_after, error }) =>
        not_after === null
          ? (error ?? "-")
          : `${timeText(not_after)} (${not_after > now_ms ? `in ${durationText(not_after - now_ms)}` : "over"})`,
    },
    { title: "WHERE", value: ({ where, ref }) => where ?? (ref === null ? "given by Muster" : "-") },
    { title: "NAMES", value: ({ names }) => listText(names, 3) || "-" },
    { title: "ISSUER", value: ({ issuer }) => issuer ?? "-", wide: true },
  ];
  return section(`certificates: ${certificates.length}`, certificates, columns);
}

function packageSection(
  { pending, security, refreshed_at, error, updates }: NonNullable<Collected["packages"]>,
  ago: Ago,
): Section {
  const lists = refreshed_at === null ? "" : `, lists of ${ago(refreshed_at)} ago`;
  if (pending === null) return section(`packages: not known: ${error ?? "not asked yet"}${lists}`, [], []);
  const wait =
    pending === 0 ? "up to date" : `${countText(pending, "update")}, ${security ?? 0} of them security`;
  const names = updates.filter((each) => each.security).map(({ name, offered }) => `${name} ${offered}`);
  return section(`packages: ${wait}${lists}${names.length === 0 ? "" : `: ${listText(names)}`}`, [], []);
}
