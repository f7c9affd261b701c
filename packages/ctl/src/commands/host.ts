/** `ctl host`: what happens to a host's own identity in the course of its life. */
import { callController } from "@muster/ports/call";
import { HostName } from "@muster/protocol/names";
import { timeText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { readWord } from "../program/word.ts";
import { chooseHosts, folderHere } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";
import { prune } from "./prune.ts";
import { revokeByName } from "./revoke.ts";

const identity = defineCommand({
  name: "identity",
  summary: "give hosts their own log-in at Vault, where they have none",
  args: "<selector>",
  options: { anew: { flag: "--anew", help: "also where they have one" } },
  example: `ctl host identity all
ctl host identity ixp1 --anew`,
  async run(context, { args, options }) {
    const { output } = context;
    const session = await openSession(context, { rank: "operator" });
    const [{ giveLogin }, { hostLogins }] = await Promise.all([
      import("../host/login.ts"),
      import("../join/host-logins.ts"),
    ]);
    output.begin(session.fleet, session.person);
    const connection = await session.connect();
    const chosen = await chooseHosts(context, async () => connection, args[0] ?? "");
    const logins = await hostLogins(await session.vault());
    const rows = await Promise.all(
      chosen.hosts.map((host) => giveLogin(connection, logins, host, options.anew, context.signal)),
    );
    for (const { name, state, until, error } of rows) {
      if (error !== null) output.line(`${output.colour.red(name)}  ${error.message}`);
      else
        output.line(
          `${name}  ${state === "already" ? "has a log-in" : "logged in"} until ${timeText(until ?? 0)}, and renews it`,
        );
    }
    const missing = [...chosen.not_enrolled, ...chosen.unknown];
    if (missing.length > 0) output.line(`${output.colour.amber("not enrolled")}  ${missing.join(", ")}`);
    output.json({
      hosts: rows.map(({ error, ...row }) => ({ ...row, error: error?.toReply() ?? null })),
      not_enrolled: missing,
    });
    const failed = rows.filter(({ state }) => state === "failed").length + missing.length;
    if (failed === 0) return 0;
    return failed < rows.length + missing.length ? 4 : 1;
  },
});

const clear = defineCommand({
  name: "clear",
  summary: "end the quarantine of a host, once the copy of it is gone; or free the name that a host had",
  args: "<host>",
  example: "ctl host clear ixp1",
  async run(context, { args }) {
    const { output } = context;
    const name = readWord(HostName, args[0], "host");
    const session = await openSession(context, { rank: "operator" });
    output.begin(session.fleet, session.person);
    const connection = await session.connect();
    const now_called = (await callController(connection, "host", { name })).record?.renamed?.to;
    const question =
      now_called === undefined
        ? `Is the copy of ${name} gone for good?`
        : `May another machine be called ${name}, as ${now_called} was?`;
    if (!(await output.confirm(question))) return EXIT.failed;
    const { cleared } = await callController(connection, "clear", { name });
    const done = now_called === undefined ? "is issued credentials again" : "is a free name";
    output.line(`${name}  ${cleared ? done : "was in no quarantine"}`);
    output.json({ name, cleared });
    return undefined;
  },
});

const replace = defineCommand({
  name: "replace",
  summary: "end a machine on every plane, and let another have its name",
  args: "<host>",
  options: {
    why: { flag: "--why <text>", help: "the reason, for the record" },
    life: { flag: "--for <duration>", help: "how long the string for the new machine works (default 1h)" },
    out: { flag: "--out <file>", help: "write the string there (0600)" },
  },
  example: `ctl host replace ixp1 --why "disk stolen" --out ixp1.join`,
  async run(context, { args, options }) {
    const { replaceHost } = await import("../host/replace.ts");
    return replaceHost(context, readWord(HostName, args[0], "host"), options);
  },
});

const retire = defineCommand({
  name: "retire",
  summary: "take a host out of the fleet for good: as ctl revoke does",
  args: "<host>",
  options: { why: { flag: "--why <text>", help: "the reason, for the record" } },
  example: `ctl host retire probe1 --why "rack given up"`,
  async run(context, { args, options }) {
    const name = args[0] ?? "";
    const code = await revokeByName(context, `host/${name}`, options);
    const folder = code === undefined ? await folderHere(context) : null;
    const declared = (await folder?.declared(false))?.hosts.some((one) => one.name === name) === true;
    if (declared)
      context.output.line(
        `next        take ${name} out of hosts.yml: it is declared there, and enrolled nowhere`,
      );
    return code;
  },
});

const rename = defineCommand({
  name: "rename",
  summary: "give a host another name: its keys and its state stay, the name that it had is nobody's",
  args: "<host> <name>",
  example: "ctl host rename probe1 probe-ams1",
  async run(context, { args }) {
    const { renameHost } = await import("../host/rename.ts");
    return renameHost(context, {
      from: readWord(HostName, args[0], "host"),
      to: readWord(HostName, args[1], "new name"),
    });
  },
});

export const host = defineCommand({
  name: "host",
  example: `ctl host identity ixp1
ctl host rename probe1 probe-ams1
ctl host replace ixp1 --out ixp1.join
ctl host prune core1
ctl host retire probe1`,
  subcommands: [identity, clear, rename, replace, prune, retire],
});
