/** Who is meant by a word: a host, a person, a program's credential, or one access by its key. Hosts and people are known without a controller too. */
import { callController } from "@muster/ports/call";
import type { Vault } from "@muster/ports/vault";
import type { AccessRecord } from "@muster/protocol/access";
import { FleetError } from "@muster/protocol/errors";
import { HostId, HostName, PersonName } from "@muster/protocol/names";
import type { HostRecord } from "@muster/protocol/record";
import { findPerson, type Person } from "../fleet/people.ts";
import type { Pins } from "../fleet/pins.ts";
import { timeText } from "../output/words.ts";
import type { Connection } from "../session/session.ts";

export type Target = {
  readonly kind: "host" | "person" | "program" | "access";
  readonly name: string;
  /** Of a host. `record` is null when no controller told it. */
  readonly host: { readonly id: string; readonly record: HostRecord | null } | null;
  readonly person: Person | null;
  /** What it may reach the bus with, as far as is on record. */
  readonly accesses: readonly AccessRecord[];
  /** Why the records are not known; null when they are. */
  readonly silence: FleetError | null;
  /** Why Vault says nothing of people now; null when it does. */
  readonly vault_away: FleetError | null;
};

const AWAY = new Set(["VAULT_SEALED", "VAULT_UNREACHABLE", "NOT_LOGGED_IN"]);

type Known = {
  readonly record: HostRecord | null;
  readonly accesses: readonly AccessRecord[];
  readonly silence: FleetError | null;
};

/** Errors: NOT_FOUND, USAGE when a word means two things, those of Vault and of the bus. */
export async function findTarget(
  word: string,
  there: { readonly connection: Connection; readonly vault: () => Promise<Vault>; readonly pins: Pins },
): Promise<Target> {
  const [, prefix, rest] = /^(host|person|program)\/(.*)$/.exec(word) ?? [];
  const name = rest ?? word;
  if (HostId.safeParse(name).success) return oneAccess(name, there.connection);
  const [known, { person, vault_away }] = await Promise.all([
    onRecord(name, there.connection),
    PersonName.safeParse(name).success ? atVault(name, there.vault) : { person: null, vault_away: null },
  ]);
  const renamed = known.record?.renamed;
  if (renamed != null && prefix !== "person" && prefix !== "program")
    throw new FleetError("NOT_FOUND", `${name} is called ${renamed.to} since ${timeText(renamed.at)}`);
  const id = known.record?.id ?? there.pins.get(name);
  const programs = known.accesses.filter((access) => access.kind === "program");
  const logins = known.accesses.filter((access) => access.kind !== "program");
  const { silence } = known;
  const away = { silence, vault_away };
  const meanings: Target[] = [];
  if (id !== undefined)
    meanings.push({
      kind: "host",
      name,
      host: { id, record: known.record },
      person: null,
      accesses: [],
      ...away,
    });
  // Who has no access on record may be a person all the same: where Vault cannot say, whoever gives the order does.
  if (person !== null || logins.length > 0 || (vault_away !== null && prefix === "person"))
    meanings.push({ kind: "person", name, host: null, person, accesses: logins, ...away });
  if (programs.length > 0)
    meanings.push({ kind: "program", name, host: null, person: null, accesses: programs, ...away });
  const meant = prefix === undefined ? meanings : meanings.filter(({ kind }) => kind === prefix);
  const [target, other] = meant;
  if (target === undefined) {
    const programs_unknown =
      silence === null ? "" : `; credentials of programs are not known: ${silence.message}`;
    const people_unknown =
      vault_away === null
        ? ""
        : `; people are not known (${vault_away.message}): say person/${name} if it is one`;
    const beyond = programs_unknown + people_unknown;
    throw new FleetError(
      "NOT_FOUND",
      `no host, person or credential of this fleet is called ${name}${beyond}`,
    );
  }
  if (other !== undefined) {
    const words = meant.map(({ kind }) => `${kind}/${name}`).join(" or ");
    throw new FleetError("USAGE", `${name} is more than one thing: say ${words}`);
  }
  return target;
}

/** With Vault sealed or away, or with the recovery kit, a person is revoked by name on all other planes. */
async function atVault(
  name: string,
  vault: () => Promise<Vault>,
): Promise<{ person: Person | null; vault_away: FleetError | null }> {
  try {
    return { person: await findPerson(await vault(), name), vault_away: null };
  } catch (error) {
    if (!(error instanceof FleetError) || !AWAY.has(error.code)) throw error;
    return { person: null, vault_away: error };
  }
}

async function onRecord(name: string, connection: Connection): Promise<Known> {
  try {
    const [record, accesses] = await Promise.all([
      HostName.safeParse(name).success
        ? callController(connection, "host", { name }).then((reply) => reply.record)
        : null,
      PersonName.safeParse(name).success ? accessesOf(connection, name) : [],
    ]);
    return { record, accesses, silence: null };
  } catch (error) {
    if (!(error instanceof FleetError) || (error.code !== "NO_RESPONDER" && error.code !== "TIMEOUT"))
      throw error;
    return { record: null, accesses: [], silence: error };
  }
}

/** Every access on record, or those of one name. */
export async function accessesOf(connection: Connection, name?: string): Promise<AccessRecord[]> {
  const all: AccessRecord[] = [];
  let after: string | null = null;
  for (;;) {
    const request: { after: string | null; name?: string } = name === undefined ? { after } : { after, name };
    const page = await callController(connection, "accesses", request);
    all.push(...page.accesses);
    if (page.next === null) return all;
    after = page.next;
  }
}

async function oneAccess(id: string, connection: Connection): Promise<Target> {
  const access = (await accessesOf(connection)).find((one) => one.id === id);
  if (access === undefined)
    throw new FleetError("NOT_FOUND", `no access with the key ${id}; ctl sessions lists them`);
  const kind = access.kind === "program" ? "program" : "access";
  return {
    kind,
    name: access.name,
    host: null,
    person: null,
    accesses: [access],
    silence: null,
    vault_away: null,
  };
}
