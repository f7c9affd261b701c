/** `ctl operator`: who may act, and as what. Needs an admin's log-in at Vault. */
import { FleetError } from "@muster/protocol/errors";
import { listPeople } from "../fleet/people.ts";
import { listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { openSession } from "../session/session.ts";
import { invite } from "./invite.ts";
import { add } from "./operator-add.ts";
import { provider } from "./provider.ts";
import { revokeByName } from "./revoke.ts";

const list = defineCommand({
  name: "list",
  summary: "everybody with a rank",
  example: "ctl operator list",
  async run(context) {
    const session = await openSession(context, { rank: "admin" });
    const vault = await session.vault();
    const { loginsOf } = await import("../fleet/foreign-logins.ts");
    const [known, logins] = await Promise.all([
      listPeople(vault),
      loginsOf(vault).catch((error: unknown) => {
        if (!(error instanceof FleetError) || error.code !== "VAULT_DENIED") throw error;
        context.output.note("how they log in is not known here: ctl vault bootstrap lets admins look");
        return null;
      }),
    ]);
    const people = known.map((person) => ({
      ...person,
      logins: logins === null ? null : (logins.get(person.name) ?? []),
    }));
    context.output.json(people);
    context.output.table(people, [
      { title: "NAME", value: (row) => row.name },
      { title: "RANK", value: (row) => row.rank },
      { title: "HOSTS", value: (row) => listText(row.guest?.groups ?? ["all"]) },
      { title: "UNTIL", value: (row) => (row.guest === null ? "" : timeText(row.guest.ends)) },
      {
        title: "LOG-IN",
        value: ({ guest, logins }) =>
          guest === null ? (logins === null ? "?" : listText(logins, 9) || "none") : "invited",
      },
      { title: "STATE", value: (row) => (row.disabled ? context.output.colour.amber("disabled") : "") },
    ]);
    return undefined;
  },
});

const disable = defineCommand({
  name: "disable",
  summary: "cut a person off: as ctl revoke does",
  args: "<name>",
  options: { why: { flag: "--why <text>", help: "the reason, for the record" } },
  example: "ctl operator disable bob",
  run: (context, { args, options }) => revokeByName(context, `person/${args[0] ?? ""}`, options),
});

export const operator = defineCommand({
  name: "operator",
  example: `ctl operator add bob --rank operator
ctl operator list`,
  subcommands: [add, invite, provider, list, disable],
});
