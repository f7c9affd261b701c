/**
 * The person behind a command: fleet, name, authority and the way to the bus. A command asks for the rank that it needs; where the log-in is missing
 * or too low a person is asked for it and the command goes on. With `--kit` the recovery kit stands in for all of it.
 */
import { createPrivateKey } from "node:crypto";
import { type Bus, connectBus } from "@muster/ports/bus";
import type { Vault } from "@muster/ports/vault";
import type { EnvelopeSigner, Verifier } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { memorySigner, userJwt } from "@muster/protocol/jwt";
import { createNkey, type Nkey, nkeyFromSeed, signEd25519 } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import { openNextBundle, type TrustBundle, verifierOf } from "@muster/protocol/trust";
import { readText } from "../fleet/disk.ts";
import { fleetOfFolder } from "../fleet/folder.ts";
import { openKit } from "../fleet/kit.ts";
import type { KitSeeds } from "../fleet/kit-bus.ts";
import { withNext } from "../output/error.ts";
import type { Context } from "../program/context.ts";
import { readSecret } from "./passphrase.ts";
import { type Profile, requireProfile, saveProfile } from "./profile.ts";
import type { PersonRank } from "./ranks.ts";
import { derOf, lacking, loadSession, type StoredSession, saveSession } from "./stored.ts";

/** How long the kit's own bus access lives. */
const KIT_ACCESS_MS = 3_600_000;

/** Bus access of somebody invited that ends within this is asked for anew. */
const RENEW_MS = 120_000;

/** What calls need (`@muster/ports/call` takes it as it is), and the bus itself. */
export type Connection = {
  readonly bus: Bus;
  readonly id: string;
  readonly signer: EnvelopeSigner;
  readonly now: () => number;
  close(): Promise<void>;
};

export interface Session {
  readonly fleet: string;
  readonly person: string;
  readonly rank: PersonRank;
  /** The recovery kit acts; every host will say so. */
  readonly kit: boolean;
  /** The kit's keys of operator and accounts; null without it. */
  readonly seeds: KitSeeds | null;
  /** By an invitation: what is live is not heard, only what a controller tells when it is asked. */
  readonly invited: boolean;
  readonly signer: EnvelopeSigner;
  readonly profile: Profile;
  /** The newest trust bundle that is held here; `connect` may bring a newer one. */
  readonly bundle: TrustBundle;
  readonly verifier: Verifier;
  /** When authority or bus access ends, whichever is first. */
  readonly ends_ms: number;
  /** One connection for the command's life; every call gives the same. Errors: BUS_UNREACHABLE, NOT_LOGGED_IN, and those of a newer trust bundle. */
  connect(): Promise<Connection>;
  /** The same connection before the newest bundle is there: for asking what is held against none. `connect` still has to be waited for. */
  reach(): Promise<Connection>;
  /** Vault under the person's own log-in. Errors: NOT_LOGGED_IN with the kit. */
  vault(): Promise<Vault>;
}

/** Opens the session of a command. Errors: NOT_LOGGED_IN with what to type, USAGE, and those of the log-in. */
export async function openSession(context: Context, needs: { rank: PersonRank }): Promise<Session> {
  if (context.global.kit !== undefined) return openKitSession(context, context.global.kit);
  const fleet = context.global.fleet ?? (await fleetOfFolder(context.cwd));
  const profile = await requireProfile(context.home, fleet);
  let stored = await loadSession(context.home, profile.fleet);
  if (stored !== null && mayRenew(stored, context.now())) {
    const { renewAccess } = await import("./login.ts");
    stored = await renewAccess(profile, stored, context.now, context.asking);
    await saveSession(context.home, profile.fleet, stored);
  }
  const lack = lacking(stored, needs.rank, context.now());
  if (lack !== null || stored === null) {
    const person = stored?.person ?? profile.person;
    if (!context.output.interactive) {
      const how = profile.by_oidc === true ? " --oidc" : "";
      throw withNext(new FleetError("NOT_LOGGED_IN", lack ?? ""), `ctl login ${person ?? "NAME"}${how}`);
    }
    context.output.note(`${lack}: log in to go on`);
    const [{ logIn }, { wayOf }] = await Promise.all([import("./login.ts"), import("./ways.ts")]);
    const name = person ?? (await context.output.ask("name"));
    const way = await wayOf(context, name, profile.by_oidc === true, {});
    stored = await logIn(profile, { person: name, way }, context.now, context.asking);
    await saveSession(context.home, profile.fleet, stored);
    const still = lacking(stored, needs.rank, context.now());
    if (still !== null) throw new FleetError("NOT_ALLOWED", still);
  }
  return sessionOf(context, profile, stored);
}

/** Of somebody who was invited the certificate lasts longer than the bus access that it is good for. */
const mayRenew = ({ invited, jwt_ends, certificate_ends }: StoredSession, now_ms: number) =>
  invited && now_ms > jwt_ends - RENEW_MS && now_ms < certificate_ends - RENEW_MS;

/** The session of what is stored, as it is. */
export function sessionOf(
  context: Context,
  profile: Profile,
  stored: StoredSession,
  seeds: KitSeeds | null = null,
): Session {
  const kit = seeds !== null;
  const signer = { certificate: derOf(stored.certificate_pem), key: createPrivateKey(stored.key_pem) };
  const nkey = nkeyFromSeed(stored.seed);
  let held = profile.bundle;
  let reached: Promise<Connection> | undefined;
  let connection: Promise<Connection> | undefined;
  const reach = () => {
    reached ??= dialBus(context, profile, stored, nkey).then((bus) => ({
      bus,
      id: nkey.public,
      signer,
      now: context.now,
      close: () => bus.close(),
    }));
    return reached;
  };
  return {
    fleet: profile.fleet,
    person: stored.person,
    rank: stored.rank,
    kit,
    seeds,
    invited: stored.invited,
    signer,
    profile,
    ends_ms: Math.min(stored.certificate_ends, stored.jwt_ends),
    get bundle() {
      return held;
    },
    get verifier() {
      return verifierOf(held);
    },
    reach,
    connect() {
      connection ??= reach().then(async (open) => {
        const newer = stored.rank === "viewer" ? null : await newestBundle(open.bus, held);
        if (newer !== null) {
          held = newer;
          if (!kit) await saveProfile(context.home, { ...profile, brokers: newer.brokers, bundle: newer });
        }
        if (kit) {
          const { noteAct } = await import("./note.ts");
          await noteAct(
            context,
            { connect: async () => open },
            { what: "kit", target: "the bus", result: "done" },
          );
        }
        return open;
      });
      return connection;
    },
    async vault() {
      if (stored.vault_token === null)
        throw new FleetError("NOT_LOGGED_IN", "the recovery kit does not log in to Vault");
      const { vaultOf } = await import("./login.ts");
      return vaultOf({ ...profile, bundle: held }, context.asking).withToken(stored.vault_token);
    },
  };
}

function dialBus(context: Context, profile: Profile, stored: StoredSession, nkey: Nkey): Promise<Bus> {
  return connectBus(
    {
      servers: profile.brokers,
      ca_pem: profile.broker_ca,
      name: `ctl ${stored.person}`,
      inbox_prefix: subjects.inboxPrefix(nkey.public),
      credentials: () => ({ jwt: stored.user_jwt, sign: (nonce) => signEd25519(nkey.key, nonce) }),
      first_connect: "once",
      reconnect_max_ms: 1_000,
    },
    context.lifetime,
  );
}

/** The newest bundle of the stream when it is newer and signed under the one held. One that does not fit is an error, not a shrug. */
export async function newestBundle(bus: Bus, held: TrustBundle): Promise<TrustBundle | null> {
  const message = await bus.directGet("TRUST", subjects.trust()).catch((error: unknown) => {
    // A fleet whose streams are not made yet.
    if (error instanceof FleetError && error.code === "NO_RESPONDER") return null;
    throw error;
  });
  return message === null ? null : openNextBundle({ headers: message.headers, body: message.body }, held);
}

/** The recovery kit as a person: its own certificate, and bus access that it signs itself. */
async function openKitSession(context: Context, path: string): Promise<Session> {
  const text = await readText(path);
  if (text === null) throw new FleetError("USAGE", `${path}: there is no such file`);
  const kit = await openKit(
    text,
    await readSecret(context, context.global.passphrase_file, `passphrase of ${path}`),
  );
  const now_ms = context.now();
  const nkey = createNkey("user");
  const account = nkeyFromSeed(kit.seeds.fleet).public;
  const ends_ms = now_ms + KIT_ACCESS_MS;
  const user_jwt = await userJwt(
    { name: "kit", key: nkey.public, account, expires_ms: ends_ms },
    memorySigner(nkeyFromSeed(kit.seeds.access)),
    now_ms,
  );
  const known = await requireProfile(context.home, kit.fleet).catch((error: unknown) => {
    if (error instanceof FleetError && error.code === "NOT_LOGGED_IN") return kit.profile;
    throw error;
  });
  context.output.note(
    context.output.colour.amber(`recovery kit of ${kit.fleet}: every host logs that it was used`),
  );
  const stored: StoredSession = {
    v: 1,
    person: "kit",
    rank: "admin",
    certificate_pem: kit.authority.certificate_pem,
    certificate_ends: ends_ms,
    key_pem: kit.authority.private_pem,
    seed: nkey.seed,
    user_jwt,
    jwt_ends: ends_ms,
    vault_token: null,
    invited: false,
  };
  return sessionOf(context, known, stored, kit.seeds);
}
