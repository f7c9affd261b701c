/** `ctl alerts`: what fires, who was told, and what is silenced and why. */
import { callController } from "@muster/ports/call";
import { FLEET_WIDE } from "@muster/protocol/alert";
import { AlertSecret } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import { alertingTroubles } from "@muster/view/alerts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import {
  alertLines,
  leftOutText,
  notKnownLines,
  routesLine,
  silenceLines,
  silencesLeftOutText,
} from "../report/alerts.ts";
import { chooseHosts } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

export const alerts = defineCommand({
  name: "alerts",
  args: "[selector]",
  options: {
    secret: {
      flag: "--secret <name#field>",
      help: "put what a route logs in with into Vault: it is asked for",
    },
  },
  example: `ctl alerts                 exit 1 when something fires that is not silenced
ctl alerts ixp             of a group
ctl alerts --json          for scripts
ctl alerts --secret smtp#password     for "vault:kv/alerts/smtp#password" in alerts.yml`,
  async run(context, { args, options }) {
    const { output } = context;
    if (options.secret !== undefined) return putSecret(context, options.secret);
    const session = await openSession(context, { rank: "viewer" });
    const connection = await session.connect();
    const selector = args[0];
    const hosts =
      selector === undefined || selector === "all"
        ? undefined
        : (await chooseHosts(context, async () => connection, selector)).hosts.map(({ name }) => name);
    const found = await callController(connection, "alerts", hosts === undefined ? {} : { hosts });
    const { summary, now, silences } = found;
    for (const line of alertLines(found.alerts, now, output.colour)) output.line(line);
    if (found.left_out > 0) output.line(leftOutText(found.left_out));
    if (found.alerts.length === 0) output.line("nothing fires");
    const about = silences.filter(
      (silence) =>
        hosts === undefined || silence.hosts.some((host) => host === FLEET_WIDE || hosts.includes(host)),
    );
    for (const line of silenceLines(about, now)) output.line(`silence ${line}`);
    if ((found.silences_left_out ?? 0) > 0) output.line(silencesLeftOutText(found.silences_left_out ?? 0));
    const troubles = summary === null ? [] : alertingTroubles(summary, now);
    for (const line of notKnownLines(summary?.not_known ?? [], output.colour)) output.line(line);
    if (hosts === undefined && summary !== null) output.line(routesLine(summary, now));
    if (hosts === undefined && summary === null && !session.invited)
      output.note(
        output.colour.amber(
          "no controller has looked yet: in a fleet from before, ctl init makes the place for it",
        ),
      );
    for (const { tint, what, next } of troubles)
      output.line(`${output.colour[tint]("alerts")}  ${what}      ${next}`);
    output.json({ fleet: session.fleet, at: now, ...found, silences: about });
    const firing = found.alerts.some(({ silenced }) => silenced === null) || found.left_out > 0;
    return firing || troubles.length > 0 ? EXIT.failed : EXIT.done;
  },
});

/** One field a secret: whoever may write there may not read what there was. */
async function putSecret(context: Context, typed: string): Promise<number> {
  const { output } = context;
  const reference = `vault:kv/alerts/${typed}`;
  if (!AlertSecret.safeParse(reference).success)
    throw new FleetError("USAGE", `--secret ${typed}: must be NAME#FIELD, such as smtp#password`);
  const [name = "", field = ""] = typed.split("#");
  const session = await openSession(context, { rank: "admin" });
  output.begin(session.fleet, session.person);
  const value = await output.password(`${field} of ${name}`);
  const vault = await session.vault();
  await vault.write(["kv", "data", "alerts", name], { data: { [field]: value } });
  output.line(`${reference}  is in Vault; controllers use it within a minute`);
  output.json({ reference });
  return EXIT.done;
}
