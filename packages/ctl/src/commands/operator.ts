/** `ctl operator`: who may act, and as what. Needs an admin's log-in at Vault. */
import { PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { loginLine } from "../fleet/files.ts";
import { disablePerson, hasLogin, listPeople, putPerson } from "../fleet/people.ts";
import { defineCommand } from "../program/command.ts";
import { readWord } from "../program/word.ts";
import { newSecret } from "../session/passphrase.ts";
import { PERSON_RANKS } from "../session/ranks.ts";
import { openSession } from "../session/session.ts";

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
      { title: "STATE", value: (row) => (row.disabled ? context.output.colour.amber("disabled") : "") },
    ]);
    return undefined;
  },
});

const disable = defineCommand({
  name: "disable",
  summary: "cut a person off at Vault",
  args: "<name>",
  example: "ctl operator disable bob",
  async run(context, { args }) {
    const session = await openSession(context, { rank: "admin" });
    context.output.begin(session.fleet, session.person);
    if (!(await context.output.confirm(`Disable ${args[0]}?`))) return 1;
    const person = await disablePerson(await session.vault(), args[0] ?? "");
    context.output.line(
      `${person.name}  cannot log in any more; a log-in from before ends by itself within eight hours`,
    );
    context.output.json(person);
    return undefined;
  },
});

export const operator = defineCommand({
  name: "operator",
  example: `ctl operator add bob --rank operator
ctl operator list`,
  subcommands: [add, list, disable],
});
