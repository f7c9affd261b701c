/** `ctl apply`: makes hosts what the folder says, after showing how; or watches or stops the rollout that is under way. */
import { FleetError } from "@muster/protocol/errors";
import { alertingChange, giveAlerting } from "../apply/alerting.ts";
import { change } from "../apply/change.ts";
import { declaredChange, giveDeclared } from "../apply/declared.ts";
import { beginEarly } from "../apply/early.ts";
import { watchNewest } from "../apply/newest.ts";
import { askGround, loadWanted, scopeFor } from "../apply/prepare.ts";
import type { Fleet } from "../inventory/fleet.ts";
import { readDuration } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { requireFolder } from "../roster/roster.ts";
import { type Connection, openSession, type Session } from "../session/session.ts";

const MESSAGE_LIMIT = 500;

export const apply = defineCommand({
  name: "apply",
  args: "[selector]",
  options: {
    only: {
      flag: "--only <ref>",
      help: "only this KIND/NAME, the rest stays as signed; may be repeated",
      many: true,
    },
    message: { flag: "-m, --message <text>", help: "why; it stands in the history" },
    overwrite: { flag: "--overwrite", help: "replace what was edited by hand" },
    force: { flag: "--force", help: "an empty or much smaller state is meant" },
    within: {
      flag: "--within <duration>",
      help: "how long a guard watches, instead of what the plan says: 60s",
    },
    watch: { flag: "--watch", help: "only watch the newest rollout" },
    abort: { flag: "--abort", help: "stop the newest rollout: hosts that have not begun stay as they are" },
  },
  example: `ctl apply ixp1 -m "no bogons"
ctl apply core1 --only file//etc/motd
ctl apply -y                   everything, without asking`,
  async run(context, { args, options }) {
    const session = await openSession(context, { rank: options.abort ? "operator" : "ci" });
    if (options.watch || options.abort) return watchNewest(context, session, options.abort);
    const message = options.message ?? "";
    if (message.length > MESSAGE_LIMIT)
      throw new FleetError("USAGE", `-m: at most ${MESSAGE_LIMIT} characters`);
    const within_ms = withinOf(options.within);
    const folder = await requireFolder(context);
    const dialled = session.connect();
    const asking = dialled.then((open) => askGround(open, folder.pins));
    for (const each of [dialled, asking]) each.catch(() => undefined);
    const wanted = await loadWanted(context, session, folder, args[0]);
    const connection = await dialled;
    const asked = await asking;
    const plain = options.only.length === 0 && !options.overwrite;
    const early = beginEarly(context, session, connection, wanted, folder.pins, asked, plain);
    context.output.begin(session.fleet, session.person);
    const whole = args[0] === undefined && options.only.length === 0;
    const given = !whole || (await giveControllers(context, session, connection, wanted.fleet));
    const exit = await change(context, session, folder, wanted, {
      message,
      overwrite: options.overwrite,
      force: options.force,
      within_ms,
      question: (names) => `Apply to ${names}?`,
      scope: (ground) => scopeFor(wanted, ground, options.only),
      nothing: "nothing to do: folder and servers agree",
      early,
    });
    return exit === EXIT.done && !given ? EXIT.partly : exit;
  },
});

/**
 * Alert rules, monitoring and the names of all hosts are for the whole fleet: they go with what is applied whole, and do not wait for any host. False when something of it that a person was
 * shown was refused: hosts are not held up by who may not speak for the whole fleet, nor by controllers from before.
 */
async function giveControllers(
  context: Context,
  session: Session,
  connection: Connection,
  fleet: Pick<Fleet, "alerts" | "monitoring" | "hosts">,
): Promise<boolean> {
  const { output, now } = context;
  const { colour } = output;
  let given = true;
  const refused = (what: string) => (error: unknown) => {
    if (!(error instanceof FleetError)) throw error;
    output.line(`${what}: ${error.message}`);
    given = false;
    return null;
  };
  const no_rules = refused(`${colour.red("alerts")}  the rules were not taken`);
  const no_names = refused(`${colour.red("folder")}  the controllers were not told which hosts it has`);
  const [alerting, declared] = await Promise.all([
    alertingChange(session, connection, fleet, colour).catch(no_rules),
    declaredChange(session, connection, fleet.hosts.values(), colour, now()).catch(no_names),
  ]);
  for (const line of [...(alerting?.lines ?? []), ...(declared?.lines ?? [])]) output.line(line);
  const rules = alerting?.next ?? null;
  const asks = rules !== null || (declared !== null && declared.lines.length > 0);
  if (asks && !(await output.confirm("Give the controllers this?"))) return given;
  if (rules !== null) {
    const version = await giveAlerting(session, connection, rules, now()).catch(no_rules);
    if (version !== null) output.line(`alert rules ${version} hold      ctl alerts`);
  }
  if (declared !== null)
    await giveDeclared(session, connection, declared, now()).catch((error: unknown) => {
      // What nobody was shown goes with another's apply.
      if (declared.lines.length > 0 || !(error instanceof FleetError)) no_names(error);
    });
  return given;
}

/** A guard's window in milliseconds; null when none was typed. */
export function withinOf(typed: string | undefined): number | null {
  if (typed === undefined) return null;
  const within_ms = readDuration(typed);
  if (within_ms === undefined || within_ms < 1_000 || within_ms > 3_600_000)
    throw new FleetError("USAGE", `--within ${typed}: must be 1s to 60m, such as 60s or 5m`);
  return within_ms;
}
