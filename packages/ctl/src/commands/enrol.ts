/** `ctl enrol`: machines that asked without a join string wait here until a person has compared their fingerprint. */
import { callController } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import { GroupName, HostName, hostFingerprint } from "@muster/protocol/names";
import type { WaitingEnrolment } from "@muster/protocol/record";
import { z } from "zod";
import { checkHosts } from "../fleet/folder.ts";
import { checkPins, savePins } from "../fleet/pins.ts";
import { withNext } from "../output/error.ts";
import type { Column } from "../output/table.ts";
import { durationText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { folderHere } from "../roster/roster.ts";
import { openSession, type Session } from "../session/session.ts";

const columns = (now_ms: number): Column<WaitingEnrolment>[] => [
  { title: "FINGERPRINT", value: (row) => row.fingerprint },
  { title: "CALLS ITSELF", value: (row) => row.name },
  { title: "FROM", value: (row) => row.from },
  { title: "SYSTEM", value: (row) => row.facts.os },
  { title: "WAITS FOR", value: (row) => durationText(now_ms - row.asked_at), align: "right" },
  { title: "ADDRESSES", value: (row) => row.facts.addresses.join(" "), wide: true },
  { title: "KEY", value: (row) => row.id, wide: true },
];

async function waiting(session: Session): Promise<WaitingEnrolment[]> {
  return (await callController(await session.connect(), "enrolments", {})).waiting;
}

/** The one that is meant by fingerprint (its beginning will do, with or without `SHA256:`, six letters or more), or by the name that it gave itself. */
export function pick(rows: readonly WaitingEnrolment[], text: string): WaitingEnrolment {
  const wanted = text.replace(/^SHA256:/, "");
  const found = rows.filter(
    ({ name, fingerprint }) =>
      name === text || (wanted.length >= 6 && fingerprint.replace(/^SHA256:/, "").startsWith(wanted)),
  );
  const [one] = found;
  if (one === undefined)
    throw withNext(new FleetError("NOT_FOUND", `no waiting machine ${text}`), "ctl enrol");
  if (found.length > 1) {
    const list = found.map((row) => row.fingerprint).join(", ");
    throw new FleetError(
      "USAGE",
      `${found.length} machines fit ${text}: say the fingerprint of one: ${list}`,
    );
  }
  return one;
}

const approve = defineCommand({
  name: "approve",
  summary: "let a waiting machine in",
  args: "<machine>",
  options: {
    name: { flag: "--name <name>", help: "the host's name; without it the one that it gave itself" },
    group: { flag: "--group <group>", help: "a group of it; may be repeated", many: true },
  },
  example: "ctl enrol approve SHA256:kV3xQ2 --name ixp1 --group ixp",
  async run(context, { args, options }) {
    const session = await openSession(context, { rank: "operator" });
    context.output.begin(session.fleet, session.person);
    const row = pick(await waiting(session), args[0] ?? "");
    const name = readWord(HostName, options.name ?? row.name, "--name");
    const groups = readWord(z.array(GroupName), options.group, "--group");
    await checkHosts(context.cwd, [name]);
    if (hostFingerprint(row.id) !== row.fingerprint)
      throw new FleetError("ALTERED", `the controller shows ${row.fingerprint} for the key ${row.id}`);
    const folder = await folderHere(context);
    const pinned = folder === null ? null : checkPins(folder.pins, new Map([[name, row.id]]));
    show(context, row);
    if (
      !(await context.output.confirm(
        `Is this the fingerprint on the machine itself, and shall it be ${name}?`,
      ))
    )
      return 1;
    const { id } = await callController(await session.connect(), "approve", {
      fingerprint: row.fingerprint,
      name,
      groups,
    });
    // A person has compared it with the machine's own.
    if (folder !== null && pinned !== null && !context.global.yes) await savePins(folder.root, pinned.pins);
    context.output.line(`${name}  may come in; it asks again within a minute`);
    context.output.json({ name, id });
    return undefined;
  },
});

const reject = defineCommand({
  name: "reject",
  summary: "turn a waiting machine away",
  args: "<machine>",
  example: "ctl enrol reject SHA256:kV3xQ2",
  async run(context, { args }) {
    const session = await openSession(context, { rank: "operator" });
    context.output.begin(session.fleet, session.person);
    const row = pick(await waiting(session), args[0] ?? "");
    show(context, row);
    if (!(await context.output.confirm("Turn it away?"))) return 1;
    await callController(await session.connect(), "reject", { fingerprint: row.fingerprint });
    context.output.line(`${row.fingerprint}  was turned away`);
    context.output.json({ fingerprint: row.fingerprint });
    return undefined;
  },
});

function show({ output }: Context, row: WaitingEnrolment): void {
  output.line(`${row.fingerprint}  calls itself ${row.name}, ${row.facts.os}, from ${row.from}`);
}

export const enrol = defineCommand({
  name: "enrol",
  example: `ctl enrol                                           who waits
ctl enrol approve SHA256:kV3xQ2 --name ixp1 --group ixp`,
  subcommands: [approve, reject],
  async run(context) {
    const session = await openSession(context, { rank: "operator" });
    const rows = await waiting(session);
    context.output.json(rows);
    if (rows.length === 0) context.output.line("no machine waits");
    else context.output.table(rows, columns(context.now()));
    return undefined;
  },
});
