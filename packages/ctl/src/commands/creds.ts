/** `ctl creds`: a credential for a program that only looks on, such as a collector of metrics. Its key is made here, and goes to standard output alone. */
import { resolve } from "node:path";
import { callController } from "@muster/ports/call";
import { LONGEST_ACCESS_MS } from "@muster/protocol/access";
import { credsText } from "@muster/protocol/creds";
import { FleetError } from "@muster/protocol/errors";
import { PersonName } from "@muster/protocol/names";
import { createNkey } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import { writeText } from "../fleet/disk.ts";
import { fleetOfFolder } from "../fleet/folder.ts";
import { durationOf, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { requireProfile } from "../session/profile.ts";
import { openSession } from "../session/session.ts";

export const creds = defineCommand({
  name: "creds",
  args: "[name]",
  options: {
    viewer: { flag: "--viewer", help: "may hear telemetry and events; a program gets no more than that" },
    life: { flag: "--for <duration>", help: "how long it lives: 90d, 366d at most" },
    out: { flag: "--out <file>", help: "into this file (0600) instead of standard output" },
    ca: { flag: "--ca", help: "print the CA of the fleet's brokers, which the program needs as well" },
  },
  example: `ctl creds telegraf --viewer --for 90d > telegraf.creds
ctl creds --ca > muster-ca.pem
ctl creds                             those there are; ctl revoke telegraf ends one`,
  async run(context, { args, options }) {
    if (options.ca) return printCa(context);
    if (args[0] === undefined) return list(context);
    const name = readWord(PersonName, args[0], "name");
    if (!options.viewer)
      throw new FleetError("USAGE", "say --viewer: a program's credential has no other rank");
    const life_ms = durationOf("--for", options.life);
    if (life_ms === undefined || life_ms < 60_000 || life_ms > LONGEST_ACCESS_MS)
      throw new FleetError("USAGE", "--for is missing or too long: like 90d, and 366d at most");
    if (options.out === undefined && context.terminal.stdout.isTTY === true)
      throw new FleetError(
        "USAGE",
        `a secret is not shown on a terminal: ctl creds ${name} … > ${name}.creds, or --out ${name}.creds`,
      );
    return make(context, name, life_ms, options.out);
  },
});

async function make(
  context: Context,
  name: string,
  life_ms: number,
  out: string | undefined,
): Promise<undefined> {
  const { output } = context;
  const session = await openSession(context, { rank: "admin" });
  output.note(`${session.fleet} · ${session.person}`);
  const { findPerson } = await import("../fleet/people.ts");
  const [connection, person] = await Promise.all([
    session.connect(),
    session.vault().then((vault) => findPerson(vault, name)),
  ]);
  if (person !== null)
    throw new FleetError("CONFLICT", `${name} is a person of this fleet: give the program another name`);
  const key = createNkey("user");
  const { user_jwt, ends } = await callController(connection, "credential", {
    id: key.public,
    name,
    life_ms,
  });
  const text = credsText(user_jwt, key.seed);
  if (out === undefined) output.line(text.trimEnd());
  else {
    const path = resolve(context.cwd, out);
    await writeText(path, text);
    output.line(`${path}  good until ${timeText(ends)}`);
  }
  output.json({ name, id: key.public, ends, ...(out === undefined ? { creds: text } : {}) });
  const servers = session.profile.brokers.map((broker) => `tls://${broker}`).join(",");
  output.note(
    `${name} hears telemetry.> and event.> until ${timeText(ends)}; servers ${servers}, CA by ctl creds --ca, inboxes ${subjects.inboxPrefix(key.public)}`,
  );
  output.note(`ctl revoke ${name}    ends it at once`);
  return undefined;
}

async function printCa(context: Context): Promise<undefined> {
  const fleet = context.global.fleet ?? (await fleetOfFolder(context.cwd));
  const { broker_ca } = await requireProfile(context.home, fleet);
  context.output.line(broker_ca.trimEnd());
  context.output.json({ broker_ca });
  return undefined;
}

async function list(context: Context): Promise<undefined> {
  const session = await openSession(context, { rank: "operator" });
  const { listAccesses } = await import("../revoke/list.ts");
  return listAccesses(context, session, (access) => access.kind === "program", "no credentials of programs");
}
