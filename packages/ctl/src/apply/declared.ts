/**
 * The names of the folder's hosts on their way to the controllers, which show by them who never joined: what differs from those that they hold, and the next version, signed. Only what
 * nobody joined as is a difference to people: of all others the controllers know anyway.
 */
import { callController } from "@muster/ports/call";
import { canonicalize } from "@muster/protocol/canonical";
import {
  DECLARED_BYTES,
  DECLARED_LIMIT,
  DECLARED_SUBJECT,
  type Declared,
  openDeclared,
} from "@muster/protocol/declared";
import {
  loadEnvelope,
  type StoredEnvelope,
  seal,
  storeEnvelope,
  type Verifier,
} from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import type { Colour } from "../output/colour.ts";
import { countText, listText } from "../output/words.ts";
import { isFromBefore } from "../session/older.ts";
import type { Connection, Session } from "../session/session.ts";

/** Without `lines` there is nothing to ask a person about. */
export type DeclaredChange = { readonly lines: readonly string[]; readonly next: Declared };

type Host = { readonly name: string; readonly groups: readonly string[] };

/**
 * Null when they hold the same, or cannot be asked. Errors: TOO_LARGE, those of `callController`.
 * @param hosts every one of the folder
 */
export async function declaredChange(
  session: Session,
  connection: Connection,
  hosts: Iterable<Host>,
  colour: Colour,
  now_ms: number,
): Promise<DeclaredChange | null> {
  const wanted = new Map([...hosts].map(({ name, groups }) => [name, [...groups]]));
  if (wanted.size > DECLARED_LIMIT)
    throw new FleetError(
      "TOO_LARGE",
      `controllers are told of ${DECLARED_LIMIT} hosts at most, the folder has ${wanted.size}`,
    );
  const told = await callController(connection, "declared", { hosts: [...wanted.keys()] }).catch(
    (error: unknown) => {
      // Who does not answer in time is asked for more than this.
      if (isFromBefore(error) || (error instanceof FleetError && error.code === "TIMEOUT")) return null;
      throw error;
    },
  );
  if (told === null) return null;
  const held = heldOf(told.document, session.verifier);
  const before = new Map(Object.entries(held?.hosts ?? {}));
  if (canonicalize(groupsIn(before)) === canonicalize(Object.fromEntries(wanted))) return null;
  const missing = told.missing.filter((name) => !before.has(name) || !wanted.has(name));
  const [added, gone] = [
    missing.filter((name) => wanted.has(name)),
    missing.filter((name) => !wanted.has(name)),
  ];
  const lines = [
    ...(added.length === 0
      ? []
      : [`+ ${countText(added.length, "host")} that no machine joined as: ${listText(added)}`]),
    ...(gone.length === 0
      ? []
      : [`- ${countText(gone.length, "host")} that no machine joined as: ${listText(gone)}`]),
  ].map((line) => `${colour.bold("folder")} ${line}`);
  const next: Declared = {
    ...{ v: 1, fleet: session.fleet, version: (held?.version ?? 0) + 1 },
    hosts: Object.fromEntries(
      [...wanted].map(([name, groups]) => [name, { groups, since: before.get(name)?.since ?? now_ms }]),
    ),
  };
  return { lines, next };
}

/** What cannot be verified is replaced. */
function heldOf(document: StoredEnvelope | null, verifier: Verifier): Declared | null {
  if (document === null) return null;
  try {
    return openDeclared(loadEnvelope(document), verifier).declared;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return null;
  }
}

const groupsIn = (hosts: ReadonlyMap<string, Declared["hosts"][string]>) =>
  Object.fromEntries([...hosts].map(([name, { groups }]) => [name, groups]));

/** Signs and hands over. Errors: CONFLICT when somebody was faster, NOT_ALLOWED, TOO_LARGE. */
export async function giveDeclared(
  session: Session,
  connection: Connection,
  { next }: DeclaredChange,
  now_ms: number,
): Promise<void> {
  const body = Buffer.from(JSON.stringify(next));
  if (body.length > DECLARED_BYTES)
    throw new FleetError(
      "TOO_LARGE",
      `controllers take ${DECLARED_BYTES} bytes of names and groups at most, these are ${body.length}`,
    );
  const signed = seal(DECLARED_SUBJECT, body, session.signer, now_ms);
  await callController(connection, "declare", { document: storeEnvelope(signed) });
}
