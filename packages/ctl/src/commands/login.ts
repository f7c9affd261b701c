/** `ctl login`: makes this machine know the fleet, if it does not, and logs a person in for eight hours. */
import { FleetError } from "@muster/protocol/errors";
import { isInvitation, readInvitation } from "@muster/protocol/invite";
import { readFleetString } from "@muster/protocol/join";
import { PersonName } from "@muster/protocol/names";
import { z } from "zod";
import { fleetOfFolder } from "../fleet/folder.ts";
import { brokerAddress } from "../fleet/networks.ts";
import { CALLBACK_PORTS } from "../fleet/vault-logins.ts";
import { withNext } from "../output/error.ts";
import { durationText, listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { acceptInvitation, logIn, renewAccess } from "../session/login.ts";
import { loadProfile, type Profile, requireProfile, saveProfile } from "../session/profile.ts";
import { PERSON_RANKS } from "../session/ranks.ts";
import { saveSession } from "../session/stored.ts";
import { checkTogether, TOKEN_VARIABLE, wayOf } from "../session/ways.ts";
import { connectUnknown, fetchFirstBundle, findFleet } from "../session/welcome.ts";

export const login = defineCommand({
  name: "login",
  args: "[target]",
  options: {
    password_file: { flag: "--password-file <file>", help: "where the password is; asked for without it" },
    rank: { flag: "--rank <rank>", help: `log in as less than you are: ${PERSON_RANKS.join(", ")}` },
    oidc: { flag: "--oidc", help: "in the browser, at the firm's identity provider; remembered" },
    password: { flag: "--password", help: "by password again, after --oidc" },
    paste: {
      flag: "--paste",
      help: "with --oidc: the browser is elsewhere, you paste where it ended; over ssh by itself",
    },
    port: {
      flag: "--port <port>",
      help: `with --oidc: where the browser comes back to, instead of ${CALLBACK_PORTS.join(", ")}`,
    },
    ci: { flag: "--ci", help: `a job of the forge, by the token in $${TOKEN_VARIABLE}` },
    token_file: { flag: "--token-file <file>", help: "with --ci: the token is in this file instead" },
  },
  example: `ctl login alice@core1.as64500.example#7F3K-9QXM-…   the first time; the part after # proves the server
ctl login mi1.…                                   with an invitation, once
ctl login                                         later, when the eight hours are over
ctl login --oidc                                  in the browser, of another machine too
ctl login deploy@core1.as64500.example#7F3K-9QXM-… --ci   in a job of the forge`,
  async run(context, { args, options }) {
    if (isInvitation(args[0] ?? "")) return acceptInvite(context, args[0] ?? "");
    checkTogether(options);
    const target = readTarget(args[0]);
    const rank =
      options.rank === undefined ? undefined : readWord(z.enum(PERSON_RANKS), options.rank, "--rank");
    const profile =
      target.fleet === undefined
        ? await requireProfile(context.home, context.global.fleet ?? (await fleetOfFolder(context.cwd)))
        : await meet(context, target.fleet);
    const known = target.person ?? (options.ci ? undefined : profile.person);
    const person = readWord(PersonName, known ?? (await context.output.ask("name")), "name");
    const as_before = person === profile.person && profile.by_oidc === true;
    const otherwise = options.ci || options.password || options.password_file !== undefined;
    const by_oidc = options.oidc || (as_before && !otherwise);
    const way = await wayOf(context, person, by_oidc, options);
    const progress = by_oidc ? null : context.output.progress(`logging in to ${profile.fleet}`);
    const stored = await logIn(
      profile,
      { person, way, ...(rank === undefined ? {} : { rank }) },
      context.now,
      context.asking,
    ).finally(() => progress?.done());
    const { by_oidc: _before, ...rest } = profile;
    await saveProfile(context.home, { ...rest, person, ...(by_oidc ? { by_oidc } : {}) });
    await saveSession(context.home, profile.fleet, stored);
    const ends_ms = Math.min(stored.certificate_ends, stored.jwt_ends);
    context.output.line(
      `${profile.fleet} · ${person}, ${stored.rank}, until ${timeText(ends_ms)} (${durationText(ends_ms - context.now())})`,
    );
    context.output.json({ fleet: profile.fleet, person, rank: stored.rank, ends: ends_ms });
    return undefined;
  },
});

/** Somebody who was invited: no password, no account at Vault. The string works once, so the session is kept before anything else can fail. */
async function acceptInvite(context: Context, text: string): Promise<undefined> {
  const { invitation, token } = readInvitation(text);
  if (context.now() > invitation.use_by)
    throw new FleetError(
      "JOIN_EXPIRED",
      `the invitation was good until ${timeText(invitation.use_by)}: ask for another`,
    );
  const { anchor, brokers, name } = invitation;
  const profile = await meet(context, { addresses: brokers, anchor });
  const stored = await acceptInvitation(profile, invitation, token, context.now, context.asking);
  await saveSession(context.home, profile.fleet, stored);
  await saveProfile(context.home, { ...profile, person: name });
  await saveSession(
    context.home,
    profile.fleet,
    await renewAccess(profile, stored, context.now, context.asking),
  );
  const hosts = invitation.groups === null ? "all hosts" : `the hosts of ${listText(invitation.groups)}`;
  context.output.line(`${profile.fleet} · ${name}, viewer of ${hosts}, until ${timeText(invitation.ends)}`);
  context.output.line("next   ctl status    ctl bgp    ctl health    ctl events");
  context.output.json({
    fleet: profile.fleet,
    person: name,
    rank: "viewer",
    groups: invitation.groups,
    ends: invitation.ends,
  });
  return undefined;
}

type Target = { readonly person?: string; readonly fleet?: { addresses: readonly string[]; anchor: string } };

function readTarget(text: string | undefined): Target {
  if (text === undefined) return {};
  const [, person, fleet] = /^(?:([^@#]+)@)?(.*#.*)$/.exec(text) ?? [];
  if (fleet === undefined && text.includes("@")) {
    throw new FleetError(
      "USAGE",
      `${text}: the part after # is missing; ctl init printed it, and the file fleet-string holds it`,
    );
  }
  const name = person ?? (fleet === undefined ? text : undefined);
  return {
    ...(name === undefined ? {} : { person: readWord(PersonName, name, "name") }),
    ...(fleet === undefined ? {} : { fleet: readFleetString(fleet) }),
  };
}

/** Finds the fleet, proves it under the anchor and learns where everything is. */
async function meet(
  context: Context,
  fleet: { addresses: readonly string[]; anchor: string },
): Promise<Profile> {
  const { addresses, anchor } = fleet;
  const { root_pem } = await findFleet(addresses, anchor, context.asking);
  const bus = await connectUnknown(addresses, root_pem, context.asking);
  try {
    const bundle = await fetchFirstBundle(bus, anchor, root_pem);
    const known = await loadProfile(context.home, bundle.fleet);
    if (known !== null && known.anchor !== anchor) {
      throw withNext(
        new FleetError(
          "WRONG_ANCHOR",
          `this machine knows another fleet called ${bundle.fleet} (${known.anchor})`,
        ),
        `if that one is gone: ctl logout --forget --fleet ${bundle.fleet}`,
      );
    }
    // What is held already may be newer than what a controller hands to strangers.
    const newest = known !== null && known.bundle.version > bundle.version ? known.bundle : bundle;
    const profile: Profile = {
      v: 1,
      fleet: bundle.fleet,
      brokers: [...new Set([...newest.brokers, ...addresses.map(brokerAddress)])].slice(0, 16),
      anchor,
      broker_ca: root_pem,
      bundle: newest,
      person: known?.person ?? null,
    };
    await saveProfile(context.home, profile);
    return profile;
  } finally {
    await bus.close();
  }
}
