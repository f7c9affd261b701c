/**
 * A person's log-in on this machine, in `<home>/<fleet>/session.json` (0600): the authority (certificate and key), the bus access
 * (another key and its JWT) and the Vault log-in it came from.
 */
import { X509Certificate } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "@muster/protocol/errors";
import { Instant } from "@muster/protocol/names";
import { z } from "zod";
import { readText, writeText } from "../fleet/disk.ts";
import { PERSON_RANKS, type PersonRank } from "./ranks.ts";

export const StoredSession = z.strictObject({
  v: z.literal(1),
  person: z.string(),
  rank: z.enum(PERSON_RANKS),
  certificate_pem: z.string(),
  certificate_ends: Instant,
  key_pem: z.string().describe("Secret: signs on the person's authority."),
  seed: z.string().describe("Secret: the bus key's seed."),
  user_jwt: z.string(),
  jwt_ends: Instant,
  vault_token: z.string().nullable().describe("Secret."),
  invited: z
    .boolean()
    .default(false)
    .describe(
      "Came by an invitation: the certificate lasts, and bus access for it is asked for again and again.",
    ),
});
export type StoredSession = z.infer<typeof StoredSession>;

const fileOf = (home: string, fleet: string) => join(home, fleet, "session.json");
/** A log-in that ends within this counts as ended: the command would outlive it. */
const SLACK_MS = 60_000;

export async function loadSession(home: string, fleet: string): Promise<StoredSession | null> {
  const path = fileOf(home, fleet);
  const text = await readText(path);
  return text === null ? null : parseJson(StoredSession, text, path);
}

export function saveSession(home: string, fleet: string, session: StoredSession): Promise<void> {
  return writeText(fileOf(home, fleet), `${JSON.stringify(session, undefined, 2)}\n`);
}

export function removeSession(home: string, fleet: string): Promise<void> {
  return rm(fileOf(home, fleet), { force: true });
}

/** When a log-in ends; of somebody invited, when the certificate does: bus access follows it. */
export const endsOf = ({ invited, certificate_ends, jwt_ends }: StoredSession) =>
  invited ? certificate_ends : Math.min(certificate_ends, jwt_ends);

/** Why a log-in does not do, or null when it does. */
export function lacking(session: StoredSession | null, rank: PersonRank, now_ms: number): string | null {
  if (session === null) return "nobody is logged in here";
  const ends_ms = endsOf(session);
  if (now_ms > ends_ms - SLACK_MS) return `the log-in of ${session.person} has ended`;
  if (PERSON_RANKS.indexOf(session.rank) < PERSON_RANKS.indexOf(rank)) {
    return `${session.person} is logged in as ${session.rank}, this needs ${rank}`;
  }
  return null;
}

/** Certificate as envelopes carry it: DER, base64. */
export const derOf = (pem: string) => new X509Certificate(pem).raw.toString("base64");
