/** `ctl operator invite`: one string with which somebody may look on, for some hosts and some time, without an account at Vault. */
import { LONGEST_ACCESS_MS } from "@muster/protocol/access";
import { FleetError } from "@muster/protocol/errors";
import { type Grant, type Invitation, writeInvitation } from "@muster/protocol/invite";
import { GroupName, PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { durationOf, durationText, listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { openSession, type Session } from "../session/session.ts";

/** How long the string may wait to be used, and the most that Vault allows. */
const USE_MS = 86_400_000;
const USE_LIMIT_MS = 7 * 86_400_000;

export const invite = defineCommand({
  name: "invite",
  summary: "one string with which somebody may look on, without an account at Vault",
  args: "<name>",
  options: {
    viewer: {
      flag: "--viewer",
      help: "status, sessions, health, events; not files, diffs, logs, secrets, exec",
    },
    groups: { flag: "--groups <groups>", help: "only the hosts of these groups, a comma between them" },
    life: { flag: "--for <duration>", help: "how long it lasts: 30d, 366d at most" },
    within: {
      flag: "--within <duration>",
      help: "how long the string waits to be used (default 24h, 7d at most)",
    },
  },
  example: `ctl operator invite bob --viewer --groups ixp --for 30d
ctl login mi1.…                   what bob types, once; later it goes on by itself`,
  async run(context, { args, options }) {
    const { output } = context;
    const name = readWord(PersonName, args[0], "name");
    if (!options.viewer)
      throw new FleetError("USAGE", "say --viewer: nobody is invited to more than to look on");
    const life_ms = spanOf("--for", options.life, undefined, LONGEST_ACCESS_MS);
    const use_ms = Math.min(life_ms, spanOf("--within", options.within, USE_MS, USE_LIMIT_MS));
    const groups = readGroups(options.groups);
    const session = await openSession(context, { rank: "admin" });
    const ends = context.now() + life_ms;
    const { inviteAtVault } = await import("../fleet/guests.ts");
    const token = await inviteAtVault(
      await session.vault(),
      name,
      { groups, ends },
      Math.ceil(use_ms / 1_000),
    );
    await readmit(context, session, name);
    const { profile, fleet } = session;
    const { anchor, brokers } = profile;
    const use_by = context.now() + use_ms;
    const claims: Invitation = {
      ...{ v: 1, fleet, anchor, brokers: [...brokers], name, ends, use_by },
      groups: groups === null ? null : [...groups],
    };
    const text = writeInvitation(claims, token);
    output.note(`${fleet} · ${session.person}`);
    output.line(`ctl login ${text}`);
    output.json({ name, groups, ends, use_by, invitation: text });
    output.note(
      `for ${name}, once, within ${durationText(use_ms)}; whoever has it first is ${name}: send it where only ${name} reads`,
    );
    output.note(
      `sees ${seenText({ groups, ends })}: status, sessions, health, events; not files, diffs, logs, secrets, exec`,
    );
    output.note(`ctl revoke ${name}    ends it at once`);
    return undefined;
  },
});

const seenText = ({ groups, ends }: Grant) =>
  `${groups === null ? "all hosts" : `the hosts of ${listText(groups)}`} until ${timeText(ends)}`;

function readGroups(text: string | undefined): readonly string[] | null {
  if (text === undefined || text === "all") return null;
  const groups = readWord(
    z.array(GroupName).min(1).max(32),
    text.split(",").map((group) => group.trim()),
    "--groups",
  );
  return groups.includes("all") ? null : groups;
}

function spanOf(
  flag: string,
  typed: string | undefined,
  otherwise: number | undefined,
  limit_ms: number,
): number {
  const span_ms = durationOf(flag, typed) ?? otherwise;
  if (span_ms === undefined || span_ms < 60_000 || span_ms > limit_ms)
    throw new FleetError(
      "USAGE",
      `${flag} is missing, or not between a minute and ${durationText(limit_ms)}`,
    );
  return span_ms;
}

/** Somebody who was revoked: what is signed on new certificates counts again. */
export async function readmit(context: Context, session: Session, name: string): Promise<boolean> {
  await session.connect();
  if (!session.bundle.voided.some((entry) => entry.name === name && entry.until === undefined)) return false;
  const { changeBundle, readmitting } = await import("../revoke/trust.ts");
  return (await changeBundle(session, readmitting(name), context.now, context.asking)).changed;
}
