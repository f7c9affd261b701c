/**
 * What this machine knows of a fleet: where its brokers and its Vault are, and whom to believe. Kept in `<home>/<fleet>/fleet.json`.
 * The trust bundle in it was proved against the anchor, or by an admin's signature under the one held before.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { FleetName } from "@muster/protocol/names";
import { TrustBundle } from "@muster/protocol/trust";
import { z } from "zod";
import { readText, writeText } from "../fleet/disk.ts";
import { withNext } from "../output/error.ts";
import { readWord } from "../program/word.ts";

export const Profile = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  brokers: z.array(z.string()).min(1),
  anchor: z.string(),
  broker_ca: z.string().describe("The root that the anchor proves, PEM."),
  bundle: TrustBundle,
  person: z.string().nullable().describe("Who logged in last."),
  by_oidc: z.literal(true).optional().describe("And by the identity provider, as they will again."),
});
export type Profile = z.infer<typeof Profile>;

const fileOf = (home: string, fleet: string) => join(home, fleet, "fleet.json");

/** The profile of a fleet, or null. Errors: INVALID for a damaged file. */
export async function loadProfile(home: string, fleet: string): Promise<Profile | null> {
  const path = fileOf(home, fleet);
  const text = await readText(path);
  return text === null ? null : parseJson(Profile, text, path);
}

export function saveProfile(home: string, profile: Profile): Promise<void> {
  return writeText(fileOf(home, profile.fleet), `${JSON.stringify(profile, undefined, 2)}\n`);
}

/** Names of the fleets that this machine knows, sorted. */
export async function knownFleets(home: string): Promise<string[]> {
  const entries = await readdir(home, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const names = entries.filter((entry) => entry.isDirectory() && FleetName.safeParse(entry.name).success);
  return names.map((entry) => entry.name).sort();
}

/** The profile of the fleet that is meant, by name, or the only one there is. Errors: NOT_LOGGED_IN, USAGE when there are several. */
export async function requireProfile(home: string, fleet: string | null): Promise<Profile> {
  if (fleet !== null) readWord(FleetName, fleet, "--fleet");
  const known = fleet === null ? await knownFleets(home) : [fleet];
  const [name] = known;
  if (known.length > 1) {
    throw new FleetError(
      "USAGE",
      `which fleet? ${known.join(", ")} are known here: say --fleet NAME, or go into a fleet's folder`,
    );
  }
  const profile = name === undefined ? null : await loadProfile(home, name);
  if (profile === null) {
    const detail =
      name === undefined
        ? "this machine knows no fleet yet"
        : `this machine does not know the fleet ${name} yet`;
    throw withNext(
      new FleetError("NOT_LOGGED_IN", detail),
      "ctl login NAME@ADDRESS#ANCHOR, as ctl init printed it (cat fleet-string)",
    );
  }
  return profile;
}
