/** Accesses on record as a table: whose, what they may, since when, until when, and whether they are void. */
import type { AccessRecord } from "@muster/protocol/access";
import { listText, timeText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import type { Session } from "../session/session.ts";
import { accessesOf } from "./target.ts";

export async function listAccesses(
  context: Context,
  session: Session,
  wanted: (access: AccessRecord) => boolean,
  none: string,
): Promise<undefined> {
  const { output } = context;
  const connection = await session.connect();
  const rows = (await accessesOf(connection)).filter(wanted).sort(byName);
  output.json(rows);
  if (rows.length === 0) output.line(none);
  else
    output.table(rows, [
      { title: "NAME", value: ({ name }) => name },
      { title: "RANK", value: ({ rank }) => rank },
      { title: "HOSTS", value: ({ groups }) => (groups === null ? "all" : listText(groups)) },
      { title: "SINCE", value: ({ given_at }) => timeText(given_at) },
      { title: "UNTIL", value: ({ ends }) => timeText(ends) },
      { title: "BY", value: ({ given_by }) => given_by },
      { title: "STATE", value: (access) => stateText(context, access, connection.id) },
      { title: "KEY", value: ({ id }) => id, wide: true },
    ]);
  return undefined;
}

const byName = (one: AccessRecord, other: AccessRecord) =>
  one.name === other.name ? one.given_at - other.given_at : one.name < other.name ? -1 : 1;

function stateText({ output }: Context, { id, revoked }: AccessRecord, own: string): string {
  if (revoked !== null) return output.colour.amber(`void since ${timeText(revoked.at)}, by ${revoked.by}`);
  return id === own ? "this one" : "";
}
