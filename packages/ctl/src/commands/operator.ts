/** `ctl operator`: who may act, and as what. Needs an admin's log-in at Vault. */
import { PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { loginLine } from "../fleet/files.ts";
import { hasLogin, listPeople, putPerson } from "../fleet/people.ts";
import { listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { readWord } from "../program/word.ts";
import { noteAct } from "../session/note.ts";
import { newSecret } from "../session/passphrase.ts";
import { PERSON_RANKS } from "../session/ranks.ts";
import { openSession } from "../session/session.ts";
import { invite, readmit } from "./invite.ts";
import { revokeByName } from "./revoke.ts";

const add = defineCommand({
  name: "add",
  summary: "make a person, or change the rank of one",
  args: "<name>",
  options: {
    rank: { flag: "--rank <rank>", help: PERSON_RANKS.join(", "), required: true },
    password_file: {
      flag: "--password-file <file>",
      help: "where the first password is; asked for without it",
    },
  },
  example: "ctl operator add bob --rank operator",
  async run(context, { args, options }) {
    const name = readWord(PersonName, args[0], "name");
    const rank = readWord(z.enum(PERSON_RANKS), options.rank, "--rank");
    const session = await openSession(context, { rank: "admin" });
    context.output.begin(session.fleet, session.person);
    const vault = await session.vault();
    const known = await hasLogin(vault, name);
    const password =
      known && options.password_file === undefined
        ? null
        : await newSecret(context, options.password_file, `first password of ${name}`);
    const changed = await putPerson(vault, { name, rank, password });
    if (await readmit(context, session, name))
      context.output.line(`${name}  is taken up again: the log-ins from before stay void`);
    if (changed)
      await noteAct(context, session, { what: "operator", target: `${name} is ${rank}`, result: "done" });
    context.output.line(changed ? `${name}  ${rank}` : `${name}  is ${rank} already`);
    const { brokers, anchor } = session.profile;
    if (changed)
      context.output.line(`next   ${name}: ${loginLine(name, { addresses: [...brokers], anchor })}`);
    context.output.json({ name, rank, changed });
    return undefined;
  },
});

const list = defineCommand({
  name: "list",
  summary: "everybody with a rank",
  example: "ctl operator list",
  async run(context) {
    const session = await openSession(context, { rank: "admin" });
    const people = await listPeople(await session.vault());
    context.output.json(people);
    context.output.table(people, [
      { title: "NAME", value: (row) => row.name },
      { title: "RANK", value: (row) => row.rank },
      { title: "HOSTS", value: (row) => listText(row.guest?.groups ?? ["all"]) },
      { title: "UNTIL", value: (row) => (row.guest === null ? "" : timeText(row.guest.ends)) },
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
  subcommands: [add, invite, list, disable],
});
