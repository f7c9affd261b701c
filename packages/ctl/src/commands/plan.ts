/** `ctl plan`: what every host would do to become what the folder says. Changes nothing. */
import { FleetError } from "@muster/protocol/errors";
import { alertingChange } from "../apply/alerting.ts";
import { editable } from "../apply/change.ts";
import { type DeclaredChange, declaredChange } from "../apply/declared.ts";
import { askPlans, isEdited } from "../apply/plans.ts";
import { loadWanted, readGround, scopeFor } from "../apply/prepare.ts";
import { planExit, plansJson } from "../apply/result.ts";
import { countText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { planLines } from "../report/plan.ts";
import { requireFolder } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

export const plan = defineCommand({
  name: "plan",
  args: "[selector]",
  options: {
    only: { flag: "--only <ref>", help: "only this KIND/NAME; may be repeated", many: true },
    overwrite: { flag: "--overwrite", help: "as if hand edits were to be replaced" },
  },
  example: `ctl plan                       all hosts; exit 3 when something is pending
ctl plan ixp1                  one host
ctl plan ixp --only bird/main  one resource on a group`,
  async run(context, { args, options }) {
    const { output } = context;
    const folder = await requireFolder(context);
    const session = await openSession(context, { rank: "ci" });
    // The folder is rendered while the connection is made; its mistakes come first.
    const dialled = session.connect();
    dialled.catch(() => undefined);
    const wanted = await loadWanted(context, session, folder, args[0]);
    const connection = await dialled;
    const ground = await readGround(session, connection, wanted, folder.pins);
    if (ground.controller !== null)
      output.note(output.colour.amber("no controller answers: planned with the hosts of hosts.lock"));
    const scope = scopeFor(wanted, ground, options.only);
    const whole = args[0] === undefined && options.only.length === 0 && ground.controller === null;
    const uncompared = (what: string) => (error: unknown) => {
      if (!(error instanceof FleetError)) throw error;
      output.note(output.colour.amber(`${what} not compared: ${error.message}`));
      return null;
    };
    const { colour } = output;
    const { hosts } = wanted.fleet;
    const [alerting, declared] = await Promise.all([
      whole
        ? alertingChange(session, connection, wanted.fleet, colour).catch(uncompared("alert rules were"))
        : null,
      whole
        ? declaredChange(session, connection, hosts.values(), colour, context.now())
            .then(shown)
            .catch(uncompared("which hosts the controllers know of was"))
        : null,
    ]);
    const progress = output.progress(`asking ${countText(scope.targets.length, "host")} for a plan`);
    const planned = await askPlans(
      connection,
      scope.targets,
      options.overwrite ? editable : () => [],
      context.signal,
    ).finally(() => progress.done());
    for (const line of planLines(planned, scope, output.colour)) output.line(line);
    for (const line of [...(alerting?.lines ?? []), ...(declared?.lines ?? [])]) output.line(line);
    const told = planExit(planned, scope, wanted.named);
    const next = alerting?.next ?? null;
    const exit = told === EXIT.done && (next !== null || declared !== null) ? EXIT.changes : told;
    const held = planned.some(({ target }) => target.desired.held_back.length > 0);
    const same = exit === 0 && scope.targets.length > 0 && scope.pending.length === 0;
    if (same && !held && !planned.some(isEdited)) output.line("folder and servers agree");
    output.json({
      ...plansJson(planned, scope),
      ...(next === null ? {} : { alerts: next }),
      ...(declared === null ? {} : { declared: declared.next }),
    });
    return exit;
  },
});

/** What a person need not see is no difference. */
const shown = (change: DeclaredChange | null) => (change !== null && change.lines.length > 0 ? change : null);
