/**
 * Which keys the targets of a change are pinned to. A host that somebody gave a join string proves by itself that it is that machine (`openJoined`); of any
 * other a person is shown the fingerprint. Nothing is signed for a key that is not pinned.
 */
import { callMany } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { openJoined } from "@muster/protocol/join";
import { hostFingerprint } from "@muster/protocol/names";
import { checkPins, savePins } from "../fleet/pins.ts";
import { listText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import type { FolderHere } from "../roster/roster.ts";
import type { Connection, Session } from "../session/session.ts";
import type { Target } from "./scope.ts";

type Host = { readonly name: string; readonly id: string };
type Declared = Host & { readonly groups: readonly string[] };

const ASK_MS = 3_000;

/** Pins the targets that are not in hosts.lock yet. False when a person does not agree to those that nothing proves. Errors: NAME_TAKEN. */
export async function pinTargets(
  context: Context,
  session: Pick<Session, "fleet" | "verifier">,
  connection: Connection,
  folder: FolderHere,
  targets: readonly Target[],
): Promise<boolean> {
  const { pins, first } = checkPins(folder.pins, new Map(targets.map(({ name, id }) => [name, id])));
  if (first.length === 0) return true;
  const { output } = context;
  const groups = new Map(targets.map(({ name, desired }) => [name, desired.content.groups]));
  const declared = first.map((host) => ({ ...host, groups: groups.get(host.name) ?? [] }));
  const proved = await proveJoined(session, connection, declared);
  const unproved = first.filter(({ name }) => !proved.has(name));
  for (const { name, id } of first) {
    const by = proved.get(name);
    const how = by === undefined ? "seen for the first time" : `proved by the join string of ${by}`;
    output.line(`${output.colour.bold(name)}  key ${hostFingerprint(id)}, ${how}`);
  }
  const question = `Pin ${listText(unproved.map(({ name }) => name))} in hosts.lock?`;
  if (unproved.length > 0 && !(await output.confirm(question))) return false;
  await savePins(folder.root, pins);
  return true;
}

/** Of these hosts those that prove whose join string they were let in by: name → person. Asks the hosts themselves. */
async function proveJoined(
  { fleet, verifier }: Pick<Session, "fleet" | "verifier">,
  connection: Connection,
  hosts: readonly Declared[],
): Promise<ReadonlyMap<string, string>> {
  const ids = hosts.map(({ id }) => id);
  const { answered } = await callMany(connection, ids, "joined", {}, { timeout_ms: ASK_MS });
  const proved = new Map<string, string>();
  for (const { name, id, groups } of hosts) {
    const joined = answered.get(id)?.joined ?? null;
    if (joined === null) continue;
    try {
      proved.set(name, openJoined(joined, { fleet, name, id, groups }, verifier));
    } catch (error) {
      // What proves nothing leaves it to the person.
      if (!(error instanceof FleetError)) throw error;
    }
  }
  return proved;
}
