/** People at Vault: an entity a person (its name is the name in certificates), a userpass log-in, and the policy of a rank. */

import type { Vault } from "@muster/ports/vault";
import { FleetError, parse } from "@muster/protocol/errors";
import { type Grant, GUEST_VAULT, readGrant } from "@muster/protocol/invite";
import { PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { AUTHORITY_S, PERSON_RANKS, type PersonRank, policyOf } from "../session/ranks.ts";

const Entity = z.object({
  id: z.string(),
  name: z.string(),
  disabled: z.boolean().default(false),
  policies: z.array(z.string()).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  aliases: z.array(z.looseObject({ id: z.string(), name: z.string(), mount_accessor: z.string() })).nullish(),
});
type Entity = z.infer<typeof Entity>;
const Auth = z.record(z.string(), z.looseObject({ accessor: z.string() }));

export type Person = {
  readonly name: string;
  readonly rank: PersonRank;
  readonly disabled: boolean;
  /** What somebody who was invited may see, and until when; null for those with a log-in. */
  readonly guest: Grant | null;
};

const rankOf = (entity: Entity): PersonRank | undefined =>
  PERSON_RANKS.find((rank) => entity.policies?.includes(policyOf(rank)));

function personOf(name: string, entity: Entity | null): Person | null {
  if (entity === null) return null;
  const { disabled } = entity;
  const rank = rankOf(entity);
  if (rank !== undefined) return { name, rank, disabled, guest: null };
  const guest = readGrant(entity.metadata?.[GUEST_VAULT.metadata] ?? "");
  return guest === null ? null : { name, rank: "viewer", disabled, guest };
}

async function found<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FleetError && error.code === "VAULT_NOT_FOUND") return null;
    throw error;
  }
}

/** Everybody who has a rank in this fleet, by name. */
export async function listPeople(vault: Vault): Promise<Person[]> {
  const people: Person[] = [];
  for (const name of (await vault.list("identity/entity/name")).sort()) {
    const person = personOf(name, await found(vault.read(["identity", "entity", "name", name], Entity)));
    if (person !== null) people.push(person);
  }
  return people;
}

/** The person, or null when nobody of this fleet is called so. */
export async function findPerson(vault: Vault, name: string): Promise<Person | null> {
  return personOf(name, await found(vault.read(["identity", "entity", "name", name], Entity)));
}

/** Whether the person can log in already, so that no password has to be asked for. */
export async function hasLogin(vault: Vault, name: string): Promise<boolean> {
  return (await found(vault.read(["auth", "userpass", "users", name], z.looseObject({})))) !== null;
}

/**
 * Makes the person who logs in by password, or gives another rank, or takes up again somebody who was disabled. True when something changed.
 * `password` null keeps the one there is. Errors: INVALID for a name, VAULT_DENIED below admin.
 */
export async function putPerson(
  vault: Vault,
  person: { name: string; rank: PersonRank; password: string | null },
): Promise<boolean> {
  const name = parse(PersonName, person.name, "name");
  let changed = await putRank(vault, person);
  if (person.password !== null) {
    await vault.write(["auth", "userpass", "users", name], {
      password: person.password,
      token_ttl: AUTHORITY_S,
      token_max_ttl: AUTHORITY_S,
      token_no_default_policy: true,
    });
    changed = true;
  }
  return (await bindLogin(vault, name, "userpass", name)) || changed;
}

/** Ends the log-in by password. True when there was one. */
export async function dropPassword(vault: Vault, name: string): Promise<boolean> {
  if (!(await hasLogin(vault, name))) return false;
  await vault.remove(["auth", "userpass", "users", name]);
  return true;
}

/** What the person may, however they log in. True when something changed. Errors: as `putPerson`. */
export async function putRank(vault: Vault, person: { name: string; rank: PersonRank }): Promise<boolean> {
  const path = ["identity", "entity", "name", parse(PersonName, person.name, "name")];
  const entity = await found(vault.read(path, Entity));
  const right = entity !== null && !entity.disabled && entity.policies?.length === 1;
  if (right && rankOf(entity) === person.rank) return false;
  // As text and not as a list: that is the form in which the admins' policy limits it.
  await vault.write(path, { policies: policyOf(person.rank), disabled: false });
  return true;
}

/**
 * Whoever logs in at `auth/<mount>` and is called `alias` there is this person. True when something changed.
 * Errors: CONFLICT when that is another person; VAULT_NOT_FOUND in a fleet that has no such log-in yet.
 */
export async function bindLogin(vault: Vault, name: string, mount: string, alias: string): Promise<boolean> {
  const [entity, auth] = await Promise.all([
    vault.read(["identity", "entity", "name", name], Entity),
    vault.read("sys/auth", Auth),
  ]);
  const mount_accessor = auth[`${mount}/`]?.accessor;
  if (mount_accessor === undefined)
    throw new FleetError("VAULT_NOT_FOUND", `auth/${mount}; ctl vault bootstrap makes it (ctl init as well)`);
  const held = entity.aliases?.find((one) => one.mount_accessor === mount_accessor);
  if (held?.name === alias) return false;
  if (mount !== "userpass") await refuseTaken(vault, alias, mount_accessor);
  // A person has one name at a log-in: another takes its place.
  const place = held === undefined ? {} : { id: held.id };
  await vault.write("identity/entity-alias", {
    ...place,
    name: alias,
    canonical_id: entity.id,
    mount_accessor,
  });
  return true;
}

/** Vault would move the name from one person to the other without a word. */
async function refuseTaken(vault: Vault, alias_name: string, alias_mount_accessor: string): Promise<void> {
  const Owner = z.object({ name: z.string() }).nullish();
  const owner = await vault.write("identity/lookup/entity", { alias_name, alias_mount_accessor }, Owner);
  if (owner != null) throw new FleetError("CONFLICT", `${alias_name} is ${owner.name} already`);
}

/** Cuts an identity off at Vault at once, tokens that it has included. False when it was, null when Vault knows none of that name. */
export async function disableEntity(vault: Vault, name: string): Promise<boolean | null> {
  const path = ["identity", "entity", "name", name];
  const entity = await found(vault.read(path, Entity));
  if (entity === null) return null;
  if (entity.disabled) return false;
  await vault.write(path, { disabled: true });
  return true;
}
