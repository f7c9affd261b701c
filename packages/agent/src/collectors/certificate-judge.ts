/** What a certificate's row means, and what happened between two samples. Pure. */
import type { Certificate, FleetEvent } from "@muster/protocol";
import { spanMs } from "@muster/protocol/resources/certificate";
import type {
  CertificateRow,
  CertificatesSample,
  CertificateVerdict,
} from "@muster/protocol/telemetry/certificates";
import type { Fault } from "@muster/protocol/telemetry/fault";

export type WatchedCertificate = {
  readonly name: string;
  readonly spec: Partial<Certificate> & Pick<Certificate, "names">;
};
type Read = Pick<
  CertificateRow,
  "subject" | "names" | "issuer" | "serial" | "not_before" | "not_after" | "chain_ends"
>;
/** What was found: a certificate, nothing, or why it could not be read. */
export type Found = {
  readonly error: string | null;
  readonly missing?: true;
  readonly unreachable?: true;
  readonly certificate?: Read;
  readonly matches?: (name: string) => boolean;
};

const NOTHING: Read = {
  subject: null,
  names: [],
  issuer: null,
  serial: null,
  not_before: null,
  not_after: null,
  chain_ends: null,
};
const WARN_MAX_MS = 21 * 86_400_000;
/** A clock may be a little behind that of who issued it. */
const SKEW_MS = 60_000;

/** How long before its end it should have been renewed. */
export function warnMs(
  spec: Partial<Certificate>,
  { not_before, not_after }: Pick<Read, "not_before" | "not_after">,
): number {
  if (spec.warn !== undefined) return spanMs(spec.warn);
  const life_ms = (not_after ?? 0) - (not_before ?? 0);
  return Math.min(WARN_MAX_MS, Math.max(0, life_ms / 3));
}

export function judgeCertificate(
  { name, spec }: WatchedCertificate,
  found: Found,
  looked_at: number | null,
  now_ms: number,
): CertificateRow {
  const of = found.certificate ?? NOTHING;
  const wanted =
    spec.names.length > 0 ? spec.names : spec.connect === undefined ? [] : [hostOf(spec.connect)];
  const other = wanted.find((each) => found.matches !== undefined && !found.matches(each));
  return {
    name,
    ref: `certificate/${name}`,
    where: spec.file ?? spec.connect ?? null,
    ...of,
    looked_at,
    error: found.error ?? (other === undefined ? null : `it is not for ${other}`),
    verdict: verdictOf(found, of, other !== undefined, warnMs(spec, of), now_ms),
  };
}

function verdictOf(
  found: Found,
  of: Read,
  mismatch: boolean,
  warn_ms: number,
  now_ms: number,
): CertificateVerdict {
  if (found.missing === true) return "missing";
  if (found.unreachable === true) return "unreachable";
  if (of.not_after === null || of.not_before === null) return "unreadable";
  const end_ms = Math.min(of.not_after, of.chain_ends ?? of.not_after);
  if (end_ms <= now_ms) return "ended";
  if (of.not_before > now_ms + SKEW_MS) return "not_yet";
  if (mismatch) return "mismatch";
  return end_ms - now_ms < warn_ms ? "ending" : "ok";
}

const hostOf = (connect: string) => connect.slice(0, connect.lastIndexOf(":")).replace(/^\[|\]$/g, "");
const day = (at_ms: number) => new Date(at_ms).toISOString().slice(0, 16).replace("T", " ");

/** What is wrong with one that is watched; null when nothing is, and for those that Muster gave: of these its credentials tell. */
export function certificateFault(
  row: CertificateRow,
  spec: Partial<Certificate> | undefined,
  now_ms: number,
): Fault | null {
  const { name, ref, where, verdict, error, not_after, not_before, chain_ends } = row;
  if (ref === null) return null;
  const what = `certificate ${name} (${where})`;
  const red = { colour: "red" as const, about: name, ref, since: null };
  switch (verdict) {
    case "missing":
      return { ...red, what: `${what} is not there` };
    case "unreachable":
    case "unreadable":
    case "mismatch":
      return { ...red, what: `${what}: ${error}`.slice(0, 500) };
    case "not_yet":
      return { ...red, what: `${what} holds from ${day(not_before ?? 0)} UTC on, not yet` };
    case "ended":
    case "ending": {
      const end_ms = Math.min(not_after ?? 0, chain_ends ?? not_after ?? 0);
      const whose = end_ms === not_after ? what : `what comes with ${what}`;
      if (verdict === "ended") return { ...red, since: end_ms, what: `${whose} ended ${day(end_ms)} UTC` };
      const close = end_ms - now_ms < warnMs(spec ?? {}, row) / 3;
      return {
        ...red,
        colour: close ? "red" : "amber",
        what: `${whose} ends ${day(end_ms)} UTC and was not renewed`,
      };
    }
    default:
      return null;
  }
}

/** That one was renewed or replaced. Of those that Muster gave its credentials tell. */
export function certificateEvents(
  before: CertificatesSample,
  now: CertificatesSample,
): Omit<FleetEvent, "at">[] {
  const earlier = new Map(before.certificates.map((row) => [row.name, row]));
  return now.certificates.flatMap((row) => {
    const was = earlier.get(row.name);
    if (row.ref === null || was === undefined || was.where !== row.where) return [];
    if (was.serial === null || row.serial === null || was.serial === row.serial) return [];
    const what = `certificate ${row.name} (${row.where}) is another one: until ${day(row.not_after ?? 0)} UTC, by ${row.issuer}`;
    return [{ kind: "host" as const, severity: "info" as const, what, ref: row.ref }];
  });
}
