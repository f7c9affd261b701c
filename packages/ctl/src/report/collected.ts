/** What a host's collectors saw, as tables under headings, for `ctl health HOST`. Pure. */
import type { Collected } from "@muster/protocol/rpc/health";
import {
  certificateEnds,
  certificatesHeading,
  certificateWhere,
  containerImage,
  containerState,
  containersHeading,
  handshakeText,
  memoryText,
  packagesHeading,
  serviceState,
  servicesHeading,
  trafficText,
  tunnelRows,
  tunnelsHeading,
  verdictTint,
  verdictWord,
} from "@muster/view/collected";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { listText } from "../output/words.ts";

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
  const word = (verdict: string) => {
    const tint = verdictTint(verdict);
    return tint === "grey" ? verdictWord(verdict) : colour[tint](verdictWord(verdict));
  };
  return [
    ...(containers?.present === true ? [containerSection(containers, word, now_ms)] : []),
    ...(services?.present === true ? [serviceSection(services, word, now_ms)] : []),
    ...(wireguard?.present === true ? [tunnelSection(wireguard, word, now_ms)] : []),
    ...(certificates?.present === true ? [certificateSection(certificates, word, now_ms)] : []),
    ...(packages?.present === true ? [section(packagesHeading(packages, now_ms), [], [])] : []),
  ];
}

type Word = (verdict: string) => string;
const countOr = (count: number | null) => (count === null ? "-" : String(count));

function containerSection(sample: NonNullable<Collected["containers"]>, word: Word, now_ms: number): Section {
  return section(containersHeading(sample), sample.containers, [
    { title: "CONTAINER", value: ({ name, declared }) => (declared ? name : `${name} (not Muster's)`) },
    { title: "", value: ({ verdict }) => word(verdict) },
    { title: "STATE", value: (row) => containerState(row, now_ms) },
    { title: "RESTARTS", value: ({ restarts }) => countOr(restarts), align: "right" },
    {
      title: "CPU",
      value: ({ cpu }) => (cpu === null ? "-" : `${(cpu * 100).toFixed(1)} %`),
      align: "right",
    },
    { title: "MEMORY", value: (row) => memoryText(row.memory_bytes, row.memory_limit_bytes), align: "right" },
    { title: "IN / OUT", value: (row) => trafficText(row.rx_bytes, row.tx_bytes), align: "right" },
    { title: "IMAGE", value: containerImage },
  ]);
}

function serviceSection(sample: NonNullable<Collected["services"]>, word: Word, now_ms: number): Section {
  return section(servicesHeading(sample), sample.services, [
    { title: "UNIT", value: ({ unit }) => unit },
    { title: "", value: ({ verdict }) => word(verdict) },
    { title: "STATE", value: (row) => serviceState(row, now_ms) },
    { title: "RESTARTS", value: ({ restarts }) => countOr(restarts), align: "right" },
    { title: "MEMORY", value: ({ memory_bytes }) => memoryText(memory_bytes), align: "right" },
  ]);
}

function tunnelSection(sample: NonNullable<Collected["wireguard"]>, word: Word, now_ms: number): Section {
  return section(tunnelsHeading(sample), tunnelRows(sample), [
    { title: "TUNNEL", value: ({ tunnel, state }) => (state === "up" ? tunnel : `${tunnel} (${state})`) },
    { title: "", value: ({ verdict }) => word(verdict) },
    { title: "PEER", value: ({ peer }) => (peer === null ? "-" : `${peer.public_key.slice(0, 10)}…`) },
    { title: "ENDPOINT", value: ({ peer }) => peer?.endpoint ?? "-" },
    { title: "HANDSHAKE", value: ({ peer }) => handshakeText(peer, now_ms), align: "right" },
    {
      title: "IN / OUT",
      value: ({ peer }) => trafficText(peer?.rx_bytes ?? null, peer?.tx_bytes ?? null),
      align: "right",
    },
  ]);
}

function certificateSection(
  sample: NonNullable<Collected["certificates"]>,
  word: Word,
  now_ms: number,
): Section {
  return section(certificatesHeading(sample), sample.certificates, [
    { title: "CERTIFICATE", value: ({ name }) => name },
    { title: "", value: ({ verdict }) => word(verdict) },
    { title: "ENDS", value: (row) => certificateEnds(row, now_ms) },
    { title: "WHERE", value: certificateWhere },
    { title: "NAMES", value: ({ names }) => listText(names, 3) || "-" },
    { title: "ISSUER", value: ({ issuer }) => issuer ?? "-", wide: true },
  ]);
}
