/**
 * Who a story pretends to be on the bus: the operator with a session of the tests' own home, a thief with a host's credentials, a controller in
 * hostile hands. Each has just what such a party could get hold of, and speaks the real protocol.
 */
import { createPrivateKey } from "node:crypto";
import { type Bus, type BusEvent, connectBus } from "@muster/ports/bus";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { openVault, type Vault } from "@muster/ports/vault";
import {
  createNkey,
  type Envelope,
  type EnvelopeSigner,
  encodePublic,
  nkeyFromSeed,
  signEd25519,
  userJwt,
} from "@muster/protocol";
import { subjects } from "@muster/protocol/subjects";
import { z } from "zod";
import { loadProfile, type Profile } from "../../packages/ctl/src/session/profile.ts";
import { derOf, loadSession, type StoredSession } from "../../packages/ctl/src/session/stored.ts";
import type { Fleet, HOSTS } from "./kit.ts";

const LIFE_MS = 600_000;

export type Persona = { readonly bus: Bus; readonly id: string; readonly denied: readonly Denied[] };
type Denied = Extract<BusEvent, { type: "denied" }>;

/** The operator's own log-in, as `ctl` keeps it. */
export type Operator = {
  readonly profile: Profile;
  readonly stored: StoredSession;
  readonly signer: EnvelopeSigner & { readonly certificate: string };
  /** Vault under the person's log-in. */
  readonly vault: Vault;
};

export async function operatorOf(fleet: Fleet, signal: AbortSignal): Promise<Operator> {
  const [profile, stored] = await Promise.all([
    loadProfile(fleet.operator.home, "as64500"),
    loadSession(fleet.operator.home, "as64500"),
  ]);
  if (profile === null || stored === null) throw new Error("the tests' operator is not logged in");
  const signer = { certificate: derOf(stored.certificate_pem), key: createPrivateKey(stored.key_pem) };
  const { vault: addresses, vault_ca } = profile.bundle;
  const vault = openVault({ addresses, ca_pem: vault_ca.join("") }, signal).withToken(
    stored.vault_token ?? "",
  );
  return { profile, stored, signer, vault };
}

/** Somebody with a real certificate of the fleet that says viewer. */
export async function viewerSigner({ vault }: Operator): Promise<EnvelopeSigner> {
  const { private_pem } = makeKey("ed25519");
  const csr = await makeCsr(private_pem, { common_name: "alice" });
  const signed = await pki(vault).signCsr("operators", "viewer", csr, { common_name: "alice", ttl_s: 3_600 });
  return { certificate: derOf(signed.certificate_pem), key: createPrivateKey(private_pem) };
}

async function dial(profile: Profile, seed: string, jwt: string, name: string): Promise<Persona> {
  const nkey = nkeyFromSeed(seed);
  const denied: Denied[] = [];
  const bus = await connectBus(
    {
      servers: profile.brokers,
      ca_pem: profile.broker_ca,
      name,
      inbox_prefix: subjects.inboxPrefix(nkey.public),
      credentials: () => ({ jwt, sign: (nonce) => signEd25519(nkey.key, nonce) }),
      first_connect: "once",
      on_status: (event) => {
        if (event.type === "denied") denied.push(event);
      },
    },
    new AbortController().signal,
  );
  return { bus, id: nkey.public, denied };
}

/** The operator on the bus. */
export const operatorBus = ({ profile, stored }: Operator): Promise<Persona> =>
  dial(profile, stored.seed, stored.user_jwt, "story");

const Keys = z.object({ nkey_seed: z.string() });
const Kept = z.object({ credentials: z.object({ user_jwt: z.string() }) });

/** A thief who copied a host's state directory. */
export async function thiefBus(
  fleet: Fleet,
  host: (typeof HOSTS)[number],
  { profile }: Operator,
): Promise<Persona> {
  const server = fleet.on(host);
  const keys = Keys.parse(JSON.parse(await server.read("/var/lib/muster-agent/keys.json")));
  const kept = Kept.parse(JSON.parse(await server.read("/var/lib/muster-agent/credentials.json")));
  return dial(profile, keys.nkey_seed, kept.credentials.user_jwt, "thief");
}

const Login = z.object({ auth: z.object({ client_token: z.string() }) });
const Signed = z.object({ data: z.object({ signature: z.string() }) });
const Transit = z.object({
  data: z.object({
    latest_version: z.int(),
    keys: z.record(z.string(), z.object({ public_key: z.string() })),
  }),
});
const Config = z.object({
  account: z.string(),
  vault: z.object({ role_id: z.string(), secret_id: z.string() }),
});

/** Vault as somebody on the controller's machine uses it: its secret works from nowhere else. */
export type Intruder = {
  readonly account: string;
  /** Runs the `vault` program under the controller's log-in. */
  vault(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }>;
};

/** The AppRole's two halves, as they lie on the controller's disk. */
export async function approleOf(
  fleet: Fleet,
): Promise<{ account: string; role_id: string; secret_id: string }> {
  const hub = fleet.on("hub");
  const config = Config.parse(JSON.parse(await hub.read("/etc/muster/controller/config.json")));
  const [role_id, secret_id] = await Promise.all([
    hub.read(config.vault.role_id),
    hub.read(config.vault.secret_id),
  ]);
  return { account: config.account, role_id: role_id.trim(), secret_id: secret_id.trim() };
}

export async function intruder(fleet: Fleet): Promise<Intruder> {
  const hub = fleet.on("hub");
  const { account, role_id, secret_id } = await approleOf(fleet);
  const { ipv4 } = await hub.facts();
  const env = {
    VAULT_ADDR: `https://${ipv4}:8200`,
    VAULT_CACERT: "/etc/muster/vault/ca.crt",
    HOME: "/nonexistent",
  };
  const login = [
    "write",
    "-format=json",
    "auth/approle/login",
    `role_id=${role_id}`,
    `secret_id=${secret_id}`,
  ];
  const answer = await hub.exec(["vault", ...login], { env });
  if (answer.code !== 0) throw new Error(`the controller's log-in: ${answer.stderr}`);
  const token = Login.parse(JSON.parse(answer.stdout)).auth.client_token;
  return { account, vault: (args) => hub.exec(["vault", ...args], { env: { ...env, VAULT_TOKEN: token } }) };
}

/** A controller in hostile hands: bus access of a controller, minted with the controller's own Vault log-in. */
export async function controllerBus(fleet: Fleet): Promise<Bus> {
  const profile = await loadProfile(fleet.operator.home, "as64500");
  if (profile === null) throw new Error("the tests' operator knows no fleet");
  const { account, vault } = await intruder(fleet);
  const key = Transit.parse(
    JSON.parse((await vault(["read", "-format=json", "transit/keys/fleet-controller"])).stdout),
  );
  const raw = Buffer.from(key.data.keys[String(key.data.latest_version)]?.public_key ?? "", "base64");
  const sign = async (data: Uint8Array) => {
    const input = `input=${Buffer.from(data).toString("base64")}`;
    const { stdout } = await vault(["write", "-format=json", "transit/sign/fleet-controller", input]);
    return Buffer.from(Signed.parse(JSON.parse(stdout)).data.signature.split(":")[2] ?? "", "base64");
  };
  const nkey = createNkey("user");
  const now_ms = Date.now();
  const jwt = await userJwt(
    { name: "controller-2", key: nkey.public, account, expires_ms: now_ms + LIFE_MS },
    { issuer: encodePublic("account", raw), sign },
    now_ms,
  );
  return (await dial(profile, nkey.seed, jwt, "hostile controller")).bus;
}

/** Of an envelope that was read from a stream, without the server's own headers. */
export const headersOf = ({ headers }: Envelope): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("Muster-")));
