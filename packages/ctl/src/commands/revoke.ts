/** `ctl revoke`: ends a host's, a person's or a program's part in the fleet on every plane at once, and says of each how long it took. */
import { FleetError } from "@muster/protocol/errors";
import { durationText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import type { StepDone } from "../revoke/revoke.ts";
import type { Target } from "../revoke/target.ts";
import { folderHere } from "../roster/roster.ts";
import { noteAct } from "../session/note.ts";
import { openSession } from "../session/session.ts";

const WHY_LENGTH = 500;

export const revoke = defineCommand({
  name: "revoke",
  args: "<name>",
  options: {
    why: { flag: "--why <text>", help: "the reason, for the record" },
    since: {
      flag: "--since <duration>",
      help: "of a person: what was signed so long ago is void too, such as 2h when the laptop was taken then",
    },
  },
  example: `ctl revoke ixp1 --why "stolen"       off the bus within a second; nothing is issued for it any more
ctl revoke bob --since 2h            can neither log in nor order anything; what he signed since then is void
ctl revoke telegraf                  a credential that ctl creds made; a key of ctl sessions ends that log-in alone`,
  run: (context, { args, options }) => revokeByName(context, args[0] ?? "", options),
});

export type RevokeOptions = {
  readonly why?: string | undefined;
  readonly since?: string | undefined;
  /** It is a part of something that has an answer of its own. */
  readonly part?: true;
};

/** Finds who is meant, asks, revokes, tells. `kind`: what the name must stand for. Resolves with the exit code. */
export async function revokeByName(
  context: Context,
  word: string,
  options: RevokeOptions,
): Promise<number | undefined> {
  const { output, now } = context;
  const why = options.why ?? "";
  if (why.length > WHY_LENGTH) throw new FleetError("USAGE", `--why: at most ${WHY_LENGTH} characters`);
  const since_ms = now() - (await sinceOf(options.since));
  const session = await openSession(context, { rank: "admin" });
  output.begin(session.fleet, session.person);
  const [{ findTarget }, { revokeEverywhere }] = await Promise.all([
    import("../revoke/target.ts"),
    import("../revoke/revoke.ts"),
  ]);
  const [connection, folder] = await Promise.all([session.connect(), folderHere(context)]);
  const target = await findTarget(word, {
    connection,
    vault: () => session.vault(),
    pins: folder?.pins ?? new Map(),
  });
  if (target.kind === "person" && target.name === session.person)
    throw new FleetError(
      "NOT_ALLOWED",
      "this is you: another admin has to; ctl sessions lists your log-ins, and ctl revoke KEY ends one",
    );
  output.note(meaningOf(target));
  if (!(await output.confirm(`Revoke ${target.name}?`))) return EXIT.failed;
  const steps = await revokeEverywhere({ session, target, why, since_ms, now, signal: context.asking });
  tell(context, word, session.kit, steps);
  // Where it is not all of it, a program still reads why nothing came of the whole.
  if (options.part !== true || steps.some(({ error }) => error !== null)) told(context, target, steps);
  const failed = steps.filter(({ error }) => error !== null).map(({ step }) => step);
  await noteAct(context, session, {
    what: "revoke",
    target: `${target.kind} ${target.name}${failed.length === 0 ? "" : `, not done: ${failed.join(", ")}`}`,
    result: failed.length === 0 ? "done" : "failed",
  });
  if (steps.every(({ error }) => error === null)) return undefined;
  return steps.some(({ error }) => error === null) ? EXIT.partly : EXIT.failed;
}

async function sinceOf(typed: string | undefined): Promise<number> {
  const { durationOf } = await import("../output/words.ts");
  return durationOf("--since", typed) ?? 0;
}

function meaningOf({ kind, name, person, accesses }: Target): string {
  switch (kind) {
    case "host":
      return `${name} is a host: it keeps running as it is, and no longer hears the fleet nor is heard`;
    case "person":
      return `${name} is ${person === null ? "a person" : `${person.rank}`}: cannot log in, and nothing that is signed from now on counts`;
    case "program":
      return `${name} has ${accesses.length === 1 ? "a credential" : `${accesses.length} credentials`} of a program`;
    case "access":
      return `one log-in of ${name}; at Vault it ends by itself, so change the password: ctl operator add ${name} --rank ${accesses[0]?.rank ?? "RANK"} --password-file FILE`;
  }
}

function tell(context: Context, word: string, kit: boolean, steps: readonly StepDone[]): void {
  const { output } = context;
  const { red, bold } = output.colour;
  for (const { step, what, changed, took_ms, error } of steps) {
    const before = error === null && !changed ? " (was so before)" : "";
    const text = error === null ? `${what}${before}` : `${red("NOT DONE")}: ${what}`;
    output.line(`${step.padEnd(12)}${text}    ${durationText(took_ms)}`);
  }
  const failed = steps.filter(({ error }) => error !== null);
  if (failed.length === 0) return;
  const away = failed.some(({ error }) => error?.code.startsWith("VAULT_"));
  if (away && !kit && failed.some(({ step }) => step === "bus"))
    output.line(
      `${bold("now")}         ctl revoke ${word} --kit FILE    ends what is connected without Vault`,
    );
  const when = away || kit ? "logged in, when Vault is open" : "when that is mended";
  output.line(`${bold("next")}        ctl revoke ${word}    again, ${when}: what is done stays done`);
}

function told({ output }: Context, target: Target, steps: readonly StepDone[]): void {
  output.json({
    kind: target.kind,
    name: target.name,
    steps: steps.map(({ error, ...step }) => ({ ...step, error: error?.toReply() ?? null })),
  });
}
