/**
 * Certificates: those that Muster gave the host, and those that the inventory lists. A file is read once a minute and parsed when it has changed (0.2 ms), an
 * address is asked every ten minutes (a TLS handshake), and every minute while it does not answer.
 */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { CERTIFICATES_PERIOD_MS, type CertificateRow } from "@muster/protocol/telemetry/certificates";
import { gravest } from "@muster/protocol/telemetry/fault";
import type { Ports } from "../ports/index.ts";
import { type Presented, presented } from "../ports/tls.ts";
import { sideBySide } from "../wait.ts";
import {
  certificateEvents,
  certificateFault,
  type Found,
  judgeCertificate,
  type WatchedCertificate,
} from "./certificate-judge.ts";
import type { Steady } from "./steady.ts";

const LOOK_MS = CERTIFICATES_PERIOD_MS;
const FIRST_MS = 33_000;
const ASK_PERIOD_MS = 600_000;
const ASK_LIMIT_MS = 5_000;
const AT_ONCE = 8;
const FILE_BYTES = 256 * 1_024;
const WATCHED = 256;
const CHAIN = 10;

/** One that Muster gave: `pem` where it is an X.509 certificate. */
export type OwnCertificate = {
  readonly name: string;
  readonly not_before: number;
  readonly not_after: number;
  readonly pem: string | null;
};

type Kept = { readonly key: string; readonly at: number; readonly found: Found; readonly failures: number };

export function createCertificates(
  { files, now }: Pick<Ports, "files" | "now">,
  declared: () => readonly Resource[],
  own: () => readonly OwnCertificate[],
): Steady<"certificates"> {
  let kept = new Map<string, Kept>();

  const fromFile = async (path: string, before: Kept | undefined): Promise<Kept> => {
    const at = now();
    try {
      const text = (await files.read(path, FILE_BYTES, "follow"))?.toString("latin1") ?? null;
      const key = `${path}\n${text}`;
      if (before?.key === key) return { ...before, at };
      const found: Found = text === null ? { error: null, missing: true } : read(text);
      return { key, at, found, failures: 0 };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      return { key: "", at, found: { error: error.detail || error.message }, failures: 0 };
    }
  };

  const fromAddress = async (
    connect: string,
    before: Kept | undefined,
    signal: AbortSignal,
  ): Promise<Kept> => {
    const at = now();
    if (before?.key === connect && before.failures === 0 && at - before.at < ASK_PERIOD_MS && at >= before.at)
      return before;
    try {
      const shown = await presented(placeOf(connect), ASK_LIMIT_MS, signal);
      return { key: connect, at, found: foundOf(shown), failures: 0 };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      const failures = before?.key === connect ? before.failures + 1 : 1;
      // Once may be the network's; what was seen before stands until it fails again.
      const found: Found =
        failures === 1 && before?.key === connect
          ? before.found
          : { error: error.detail || error.message, unreachable: true };
      return { key: connect, at, found, failures };
    }
  };

  return {
    kind: "certificates",
    look_ms: LOOK_MS,
    first_ms: FIRST_MS,
    async look(signal) {
      const watched = declared()
        .flatMap((resource): WatchedCertificate[] =>
          resource.kind === "certificate" ? [{ name: resource.name, spec: resource.spec }] : [],
        )
        .slice(0, WATCHED);
      const now_kept = new Map<string, Kept>();
      await sideBySide(watched, AT_ONCE, async ({ name, spec: { file, connect } }) => {
        const before = kept.get(name);
        if (file !== undefined) now_kept.set(name, await fromFile(file, before));
        else if (connect !== undefined) now_kept.set(name, await fromAddress(connect, before, signal));
      });
      kept = now_kept;
      const at = now();
      const certificates = [
        ...own().map((each) => ownRow(each, at)),
        ...watched.map((each): CertificateRow => {
          const of = kept.get(each.name);
          return judgeCertificate(each, of?.found ?? { error: "not looked at" }, of?.at ?? null, at);
        }),
      ];
      const spans = new Map(watched.map(({ name, spec }) => [name, spec]));
      const faults = certificates.flatMap((row) => certificateFault(row, spans.get(row.name), at) ?? []);
      return { at, present: certificates.length > 0, certificates, faults: gravest(faults) };
    },
    shape: ({ certificates }) =>
      certificates.map(({ name, where, serial, not_after, verdict, error }) => [
        name,
        where,
        serial,
        not_after,
        verdict,
        error,
      ]),
    events: certificateEvents,
  };
}

/** Of one that Muster gave the agent itself knows the span; that it ends is told of its credentials. */
function ownRow({ name, not_before, not_after, pem }: OwnCertificate, at: number): CertificateRow {
  const found = pem === null ? { error: null } : read(pem);
  const watched = { name, spec: { names: [] } };
  const row = judgeCertificate(watched, found, at, at);
  const verdict = not_after <= at ? "ended" : not_before > at + 60_000 ? "not_yet" : "ok";
  return { ...row, ref: null, where: null, not_before, not_after, error: null, verdict };
}

const PEM = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

function read(text: string): Found {
  const parts = (text.match(PEM) ?? []).slice(0, CHAIN);
  if (parts.length === 0) return { error: "there is no certificate in it (PEM: BEGIN CERTIFICATE)" };
  try {
    const [leaf, ...chain] = parts.map((part) => new X509Certificate(part));
    return leaf === undefined ? { error: "empty" } : foundOf({ leaf, chain });
  } catch (error) {
    return { error: `it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function foundOf({ leaf, chain }: Presented): Found {
  const ends = chain.map(({ validTo }) => Date.parse(validTo));
  return {
    error: null,
    certificate: {
      subject: oneLine(leaf.subject),
      names: (leaf.subjectAltName ?? "")
        .split(", ")
        .flatMap((each) => /^(?:DNS|IP Address|URI|email):(.+)$/.exec(each)?.[1]?.replaceAll('"', "") ?? [])
        .slice(0, 100),
      issuer: oneLine(leaf.issuer),
      serial: leaf.serialNumber.toLowerCase(),
      not_before: Date.parse(leaf.validFrom),
      not_after: Date.parse(leaf.validTo),
      chain_ends: ends.length === 0 ? null : Math.min(...ends),
    },
    matches: (name) => (isIP(name) === 0 ? leaf.checkHost(name) : leaf.checkIP(name)) !== undefined,
  };
}

const oneLine = (text: string | undefined) => (text ?? "").replaceAll("\n", ", ").slice(0, 500);

/** `[2001:db8::1]:443` as host and port. */
export function placeOf(connect: string): { host: string; port: number } {
  const colon = connect.lastIndexOf(":");
  return { host: connect.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(connect.slice(colon + 1)) };
}
