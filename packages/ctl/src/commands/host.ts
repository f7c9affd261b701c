/** `ctl host`: what happens to a host's own identity in the course of its life. */
import { timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { chooseHosts } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

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

export const host = defineCommand({
  name: "host",
  example: "ctl host identity ixp1",
  subcommands: [identity],
});
