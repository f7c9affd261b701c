/** The trust bundle's part of a revocation: whose signatures are void, and which ssh host keys. Signed by the admin who orders it. */

import type { Bus } from "@muster/ports/bus";
import { callController } from "@muster/ports/call";
import { loadEnvelope } from "@muster/protocol/envelope";
import { FleetError, parse } from "@muster/protocol/errors";
import { type Krl, readKrl, writeKrl } from "@muster/protocol/krl";
import { subjects } from "@muster/protocol/subjects";
import { openNextBundle, TrustBundle } from "@muster/protocol/trust";
import { connectAs } from "../fleet/broker-setup.ts";
import { signBundle } from "../fleet/bundle.ts";
import { FLEET_RECORD, FleetRecord } from "../session/login.ts";
import { newestBundle, type Session } from "../session/session.ts";

const TRIES = 5;
/** A bundle has to fit into one message, and each host keeps it. */
const SSH_ENTRIES = 2_000;

/** What a bundle is to become; null when it says so already. */
export type BundleChange = (held: TrustBundle, now_ms: number) => TrustBundle | null;

/** What of a person's is void from `since` on: everything, or one certificate. */
export const voiding =
  (who: { readonly name: string } | { readonly fingerprint: string }, since: number): BundleChange =>
  (held, now_ms) => {
    const same = (entry: TrustBundle["voided"][number]) =>
      "name" in who ? entry.name === who.name : entry.fingerprint === who.fingerprint;
    if (held.voided.some((entry) => same(entry) && entry.until === undefined && entry.since <= since))
      return null;
    return {
      ...held,
      voided: [...held.voided.filter((entry) => !same(entry) || entry.until), { ...who, since }],
      ...("name" in who ? listing(held, now_ms, ({ people }) => ({ people: [...people, who.name] })) : {}),
    };
  };

/** Somebody was taken up again: what is signed from now on counts. */
export const readmitting =
  (name: string): BundleChange =>
  (held, now_ms) => {
    const open = (entry: TrustBundle["voided"][number]) => entry.name === name && entry.until === undefined;
    if (!held.voided.some(open)) return null;
    return {
      ...held,
      voided: held.voided.map((entry) => (open(entry) ? { ...entry, until: now_ms } : entry)),
      ...listing(held, now_ms, ({ people }) => ({ people: people.filter((one) => one !== name) })),
    };
  };

/** Adds an ssh host key (its line, as the record has it) to the revocation list, and with it the key's certificates. Errors: TOO_LARGE. */
export const revokingSshKey =
  (line: string): BundleChange =>
  (held, now_ms) => {
    const key = line.split(" ")[1] ?? "";
    if (revokedForSsh(held).keys.includes(key)) return null;
    return { ...held, ...listing(held, now_ms, ({ keys }) => ({ keys: [...keys, key] })) };
  };

const revokedForSsh = ({ ssh_krl }: TrustBundle): Krl =>
  readKrl(ssh_krl === null ? null : Buffer.from(ssh_krl, "base64"));

/** The bundle's revocation list with a change; as it is where that changes nothing. Errors: TOO_LARGE. */
function listing(
  held: TrustBundle,
  now_ms: number,
  change: (before: Krl) => Partial<Krl>,
): Pick<TrustBundle, "ssh_krl"> {
  const before = revokedForSsh(held);
  const { keys, people } = { ...before, ...change(before) };
  if (keys.length === before.keys.length && people.length === before.people.length)
    return { ssh_krl: held.ssh_krl };
  if (keys.length + people.length > SSH_ENTRIES)
    throw new FleetError("TOO_LARGE", `${SSH_ENTRIES} keys and people are revoked for ssh already`);
  return { ssh_krl: writeKrl({ keys, people }, held.version + 1, now_ms).toString("base64") };
}

/**
 * Publishes what the newest bundle becomes by the change, under the admin's own signature: through a controller, or where none answers with the rights
 * of `ctl init`. Resolves with the version that holds now. Errors: NOT_ALLOWED, CONFLICT, BUS_*, VAULT_*.
 */
export async function changeBundle(
  session: Session,
  change: BundleChange,
  now: () => number,
  signal: AbortSignal,
): Promise<{ version: number; changed: boolean }> {
  const connection = await session.connect();
  let held = session.bundle;
  for (let tries = 1; ; tries++) {
    const changed = change(held, now());
    if (changed === null) return { version: held.version, changed: false };
    const next = { ...changed, version: held.version + 1, issued_at: now() };
    const stored = signBundle(parse(TrustBundle, next, "trust bundle"), session.signer, now());
    // What no host would take is not sent.
    openNextBundle(loadEnvelope(stored), held);
    try {
      await callController(connection, "trust", { bundle: stored }, { signal });
      return { version: next.version, changed: true };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (error.code === "NO_RESPONDER" || error.code === "TIMEOUT") {
        await publishDirectly(session, stored, now, signal);
        return { version: next.version, changed: true };
      }
      if (error.code !== "CONFLICT" || tries >= TRIES) throw error;
      held = (await newestBundle(connection.bus, held)) ?? held;
    }
  }
}

async function publishDirectly(
  session: Session,
  stored: Parameters<typeof loadEnvelope>[0],
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const bus = await setUpBus(session, now(), signal);
  try {
    const { headers, body } = loadEnvelope(stored);
    const newest = await bus.directGet("TRUST", subjects.trust());
    await bus.publishStored(subjects.trust(), body, { headers, expected_last_subject_seq: newest?.seq ?? 0 });
  } finally {
    await bus.close();
  }
}

async function setUpBus(
  { seeds, profile, ...session }: Session,
  now_ms: number,
  signal: AbortSignal,
): Promise<Bus> {
  if (seeds !== null) {
    const { connectByKit } = await import("../fleet/kit-bus.ts");
    return connectByKit(seeds, "fleet", profile, now_ms, signal);
  }
  const vault = await session.vault();
  const { accounts } = (await vault.read(FLEET_RECORD, FleetRecord)).data;
  const there = { addresses: profile.brokers, broker_ca: profile.broker_ca };
  return (await connectAs(there, vault, "fleet-setup", accounts.fleet, now_ms, signal)).bus;
}
