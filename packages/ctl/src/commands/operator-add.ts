/** `ctl operator add`: makes a person or a job of the forge, with a rank and a way to log in. Typed again it finishes what was left undone. */
import { FleetError } from "@muster/protocol/errors";
import { PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { loginLine } from "../fleet/files.ts";
import { dropForeignLogin, hasForeignLogin, putForeignLogin } from "../fleet/foreign-logins.ts";
import { FORGES, type Job, jobClaims, personClaims } from "../fleet/foreign-words.ts";
import { dropPassword, hasLogin, putPerson, putRank } from "../fleet/people.ts";
import { audienceOf, CI_LOGIN, type ForeignWay, OIDC_LOGIN } from "../fleet/vault-logins.ts";
import { withNext } from "../output/error.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { noteAct } from "../session/note.ts";
import { newSecret } from "../session/passphrase.ts";
import { PERSON_RANKS, type PersonRank } from "../session/ranks.ts";
import { openSession, type Session } from "../session/session.ts";
import { TOKEN_VARIABLE } from "../session/ways.ts";
import { readmit } from "./invite.ts";

export const add = defineCommand({
  name: "add",
  summary: "make a person or a job of the forge, or change the rank or log-in of one",
  args: "<name>",
  options: {
    rank: { flag: "--rank <rank>", help: PERSON_RANKS.join(", "), required: true },
    password_file: {
      flag: "--password-file <file>",
      help: "where the first password is; asked for without it",
    },
    oidc: {
      flag: "--oidc <claim=value>",
      help: "logs in at the identity provider, which knows them so: email=bob@example.org, sub=…; none ends it",
    },
    without_password: { flag: "--without-password", help: "with --oidc: the password that they had ends" },
    trust_provider: {
      flag: "--trust-provider",
      help: "an admin by --oidc: whoever holds the provider then holds the fleet",
    },
    forge: { flag: "--forge <forge>", help: `with --rank ci: ${Object.keys(FORGES).join(", ")}, other` },
    project: { flag: "--project <path>", help: "with --forge: the one project, like ops/fleet" },
    ref: { flag: "--ref <branch>", help: "with --forge: its one branch, which has to be protected" },
    claim: {
      flag: "--claim <claim=value>",
      help: "with --forge: what else its token has to say; may be repeated. With other the first names the job",
      many: true,
    },
  },
  example: `ctl operator add bob --rank operator
ctl operator add carol --rank operator --oidc email=carol@example.org
ctl operator add deploy --rank ci --forge gitlab --project ops/fleet --ref main`,
  async run(context, { args, options }) {
    const name = readWord(PersonName, args[0], "name");
    const rank = readWord(z.enum(PERSON_RANKS), options.rank, "--rank");
    const session = await openSession(context, { rank: "admin" });
    const way = wayOf(session.fleet, rank, options);
    context.output.begin(session.fleet, session.person);
    const changed = await atVault(context, session, { name, rank }, way, options);
    context.output.line(changed ? `${name}  ${rank}` : `${name}  is ${rank} already`);
    const left = await onTheBus(context, session, name, rank);
    context.output.json({ name, rank, changed, not_done: left });
    if (left.length > 0) {
      context.output.note(context.output.colour.amber(`NOT DONE: ${left.join("; ")}`));
      context.output.note("next   the same line again, when the broker is back; at Vault it is done");
      return EXIT.partly;
    }
    const { brokers, anchor } = session.profile;
    const line = loginLine(name, { addresses: [...brokers], anchor });
    if (way === null || way === "none") {
      if (changed) context.output.line(`next   ${name}: ${line}`);
    } else if (way.login === OIDC_LOGIN) context.output.line(`next   ${name}: ${line} --oidc`);
    else
      context.output.line(
        `next   the job, with a token for the audience ${way.audience} in $${TOKEN_VARIABLE}: ${line} --ci`,
      );
    return undefined;
  },
});

type Ways = {
  readonly password_file: string | undefined;
  readonly oidc: string | undefined;
  readonly without_password: boolean;
  readonly trust_provider: boolean;
  readonly forge: string | undefined;
  readonly project: string | undefined;
  readonly ref: string | undefined;
  readonly claim: readonly string[];
};

/** By whose word they come in; null: by a password. Errors: USAGE. */
function wayOf(fleet: string, rank: PersonRank, options: Ways): ForeignWay | "none" | null {
  const { oidc, forge, project, ref, claim, password_file } = options;
  if (forge === undefined && (project ?? ref ?? claim[0]) !== undefined)
    throw new FleetError("USAGE", "--project, --ref and --claim go with --forge");
  if (forge !== undefined) {
    if (rank !== "ci") throw new FleetError("USAGE", "--forge goes with --rank ci: a job gets no other rank");
    if ((oidc ?? password_file) !== undefined)
      throw new FleetError("USAGE", "a job logs in by --forge alone");
    const claims = jobClaims({ forge, project, ref, more: claim } satisfies Job);
    return { login: CI_LOGIN, claims, audience: audienceOf(fleet) };
  }
  if (options.without_password && (oidc === undefined || oidc === "none" || password_file !== undefined))
    throw new FleetError(
      "USAGE",
      "--without-password goes with --oidc claim=value: they have to come in somehow",
    );
  if (oidc === undefined) return null;
  return oidc === "none" ? "none" : { login: OIDC_LOGIN, claims: personClaims(oidc) };
}

/** Rank and log-in at Vault. True when something changed there. */
async function atVault(
  context: Context,
  session: Session,
  { name, rank }: { name: string; rank: PersonRank },
  way: ForeignWay | "none" | null,
  options: Ways,
): Promise<boolean> {
  const vault = await session.vault();
  const [by_oidc, by_forge] = await Promise.all([
    hasForeignLogin(vault, OIDC_LOGIN, name),
    hasForeignLogin(vault, CI_LOGIN, name),
  ]);
  if (by_forge && rank !== "ci")
    throw new FleetError(
      "NOT_ALLOWED",
      `${name} is a job of the forge, which gets no rank but ci: take another name`,
    );
  if (rank === "admin" && !options.trust_provider && way !== "none" && (way !== null || by_oidc))
    throw withNext(
      new FleetError(
        "NOT_ALLOWED",
        `${name} by the identity provider and admin: whoever holds that provider would hold the fleet`,
      ),
      `--rank operator; or --oidc none, with a password; or, if you mean it, --trust-provider`,
    );
  const dropped = way === "none" && (await dropForeignLogin(vault, OIDC_LOGIN, name));
  if (way !== null && way !== "none") {
    let changed = await putRank(vault, { name, rank });
    changed = (await putForeignLogin(vault, name, way)) || changed;
    if (options.without_password) changed = (await dropPassword(vault, name)) || changed;
    if (options.password_file === undefined) return changed;
  }
  const known = await hasLogin(vault, name);
  const password =
    known && options.password_file === undefined
      ? null
      : await newSecret(context, options.password_file, `first password of ${name}`);
  return (await putPerson(vault, { name, rank, password })) || dropped || way !== null;
}

/** What is left undone, in words: hosts and audit hear of it over the bus. */
async function onTheBus(
  context: Context,
  session: Session,
  name: string,
  rank: PersonRank,
): Promise<string[]> {
  try {
    if (await readmit(context, session, name))
      context.output.line(`${name}  is taken up again: the log-ins from before stay void`);
  } catch (error) {
    if (!(error instanceof FleetError) || !error.retryable) throw error;
    return [
      `what ${name} signs may still be void on hosts, and the audit does not say so (${error.message})`,
    ];
  }
  // Also where nothing changed: the first time it may not have come this far.
  const act = { what: "operator", target: `${name} is ${rank}`, result: "done" } as const;
  return (await noteAct(context, session, act)) ? [] : ["the audit does not say so"];
}
