/**
 * NATS JWTs (version 2), assembled here and signed by whoever holds the key: node:crypto for a key in memory, Vault Transit for the rest.
 * A user of a scoped signing key carries only key, name and expiry; its permissions are the scope's template in the account.
 * Source: ADR-14 of github.com/nats-io/nats-architecture-and-design and the claim types of github.com/nats-io/jwt v2.
 */
import { createHash, type KeyObject, verify } from "node:crypto";
import { z } from "zod";
import { FleetError, parseJson } from "./errors.ts";
import { base32, decodePublic, type Nkey, publicKeyObject, signEd25519 } from "./nkey.ts";

/** Signs raw bytes with Ed25519; `issuer` is the public nkey that belongs to it. */
export type JwtSigner = { readonly issuer: string; sign(data: Uint8Array): Promise<Uint8Array> | Uint8Array };

/** Subjects that may be published and subscribed to, and how many replies may be sent to a request's inbox. */
export type Permissions = {
  readonly pub: readonly string[];
  readonly sub: readonly string[];
  readonly resp?: { readonly max: number; readonly ttl_ms: number };
};

/** A signing key with the permissions of everyone it signs for. */
export type Scope = { readonly role: string; readonly key: string; readonly permissions: Permissions };

/** A service, or with `stream` messages that come by themselves; `account_at`: which `*` of the subject must be the importer's key, counted from 1. */
export type Export = {
  readonly name: string;
  readonly subject: string;
  readonly stream?: { readonly account_at: number };
};
/** `local`: the subject of a stream in the importing account. */
export type Import = {
  readonly name: string;
  readonly subject: string;
  readonly account: string;
  readonly stream?: { readonly local: string };
};

export type AccountSpec = {
  readonly name: string;
  /** Public account nkey. */
  readonly key: string;
  readonly scopes: readonly Scope[];
  readonly exports?: readonly Export[];
  readonly imports?: readonly Import[];
  readonly jetstream: boolean;
  readonly limits?: {
    readonly connections?: number;
    readonly subscriptions?: number;
    readonly payload_bytes?: number;
  };
  readonly revocations?: Revocations;
};

/** Public user nkey → seconds since 1970: JWTs issued up to then are void. */
export type Revocations = Readonly<Record<string, number>>;

const HEADER = Buffer.from('{"typ":"JWT","alg":"ed25519-nkey"}').toString("base64url");

async function encode(claims: Record<string, unknown>, signer: JwtSigner, now_ms: number): Promise<string> {
  const body = { ...claims, iat: Math.floor(now_ms / 1000), iss: signer.issuer };
  const jti = base32(createHash("sha512-256").update(JSON.stringify(body)).digest());
  const text = `${HEADER}.${Buffer.from(JSON.stringify({ jti, ...body })).toString("base64url")}`;
  const signature = await signer.sign(Buffer.from(text));
  return `${text}.${Buffer.from(signature).toString("base64url")}`;
}

/** A signer for a key held in memory. */
export function memorySigner(nkey: Nkey): JwtSigner {
  return { issuer: nkey.public, sign: (data) => signEd25519(nkey.key, data) };
}

/** The operator's own JWT: which keys may sign accounts, and which account is the system's. */
export function operatorJwt(
  operator: { name: string; signing_keys: readonly string[]; system_account: string; key: string },
  signer: JwtSigner,
  now_ms: number,
): Promise<string> {
  const nats = {
    signing_keys: operator.signing_keys,
    system_account: operator.system_account,
    type: "operator",
    version: 2,
  };
  return encode({ name: operator.name, sub: operator.key, nats }, signer, now_ms);
}

const rules = (permissions: Permissions) => ({
  pub: { allow: permissions.pub },
  sub: { allow: permissions.sub },
  ...(permissions.resp && { resp: { max: permissions.resp.max, ttl: permissions.resp.ttl_ms * 1_000_000 } }),
});

/** An account's JWT with its scopes, exports, imports, limits and revocations; signed by the operator's signing key. */
export function accountJwt(account: AccountSpec, signer: JwtSigner, now_ms: number): Promise<string> {
  const storage = account.jetstream ? -1 : 0;
  const nats = {
    exports: account.exports?.map(({ stream, ...item }) =>
      stream === undefined
        ? { ...item, type: "service", response_type: "Singleton" }
        : { ...item, type: "stream", account_token_position: stream.account_at },
    ),
    imports: account.imports?.map(({ stream, ...item }) =>
      stream === undefined
        ? { ...item, type: "service", share: true }
        : { ...item, type: "stream", local_subject: stream.local },
    ),
    limits: {
      subs: account.limits?.subscriptions ?? -1,
      data: -1,
      payload: account.limits?.payload_bytes ?? -1,
      imports: -1,
      exports: -1,
      wildcards: true,
      conn: account.limits?.connections ?? -1,
      leaf: 0,
      disallow_bearer: false,
      mem_storage: storage,
      disk_storage: storage,
      streams: storage,
      consumer: storage,
    },
    signing_keys: account.scopes.map((scope) => ({
      kind: "user_scope",
      key: scope.key,
      role: scope.role,
      template: {
        ...rules(scope.permissions),
        subs: -1,
        data: -1,
        payload: -1,
        allowed_connection_types: ["STANDARD", "WEBSOCKET"],
      },
    })),
    revocations: account.revocations ?? {},
    default_permissions: { pub: {}, sub: {} },
    type: "account",
    version: 2,
  };
  return encode({ name: account.name, sub: account.key, nats }, signer, now_ms);
}

const AccountClaims = z.looseObject({
  iat: z.number(),
  nats: z.looseObject({
    type: z.literal("account"),
    revocations: z.record(z.string(), z.int()).nullish(),
  }),
});

function accountClaims(account_jwt: string): z.infer<typeof AccountClaims> {
  return parseJson(AccountClaims, Buffer.from(account_jwt.split(".")[1] ?? "", "base64url"), "account JWT");
}

/** What an account's JWT voids. Its signature is whoever's who gave it: a broker holds none but its operator's. Errors: INVALID. */
export function revocationsOf(account_jwt: string): Revocations {
  return accountClaims(account_jwt).nats.revocations ?? {};
}

/** The same account with these revocations, and newer than it was: a broker keeps the newest by the second. Errors: INVALID. */
export function withRevocations(
  account_jwt: string,
  revocations: Revocations,
  signer: JwtSigner,
  now_ms: number,
): Promise<string> {
  const { iat, iss, jti, nats, ...claims } = accountClaims(account_jwt);
  return encode({ ...claims, nats: { ...nats, revocations } }, signer, Math.max(now_ms, (iat + 1) * 1_000));
}

/** A user of a scope: only key, name and expiry; `tags` (`name:value`) where the scope's template asks for them. */
export function userJwt(
  user: { name: string; key: string; account: string; expires_ms: number; tags?: readonly string[] },
  signer: JwtSigner,
  now_ms: number,
): Promise<string> {
  const { tags = [] } = user;
  const nats = { issuer_account: user.account, ...(tags.length > 0 && { tags }), type: "user", version: 2 };
  const exp = Math.floor(user.expires_ms / 1000);
  return encode({ name: user.name, sub: user.key, exp, nats }, signer, now_ms);
}

/** A user of an account's own identity key, which carries its rights itself: only the recovery kit holds such a key. */
export function ownUserJwt(
  user: { name: string; key: string; permissions: Permissions; expires_ms: number },
  signer: JwtSigner,
  now_ms: number,
): Promise<string> {
  // Brokers fill in what a scope's template leaves open, and that alone.
  const own = (subjects: readonly string[]) =>
    subjects.map((subject) => subject.replaceAll("{{subject()}}", user.key));
  const { pub, sub } = user.permissions;
  const permissions = rules({ ...user.permissions, pub: own(pub), sub: own(sub) });
  const nats = { ...permissions, subs: -1, data: -1, payload: -1, type: "user", version: 2 };
  return encode(
    { name: user.name, sub: user.key, exp: Math.floor(user.expires_ms / 1_000), nats },
    signer,
    now_ms,
  );
}

/** The sentinel of the enrolment account: a bearer user without expiry, into which clients without credentials fall. */
export function sentinelJwt(
  user: { key: string; permissions: Permissions },
  signer: JwtSigner,
  now_ms: number,
): Promise<string> {
  const nats = {
    ...rules(user.permissions),
    subs: 10,
    data: -1,
    payload: 64 * 1024,
    bearer_token: true,
    type: "user",
    version: 2,
  };
  return encode({ name: "sentinel", sub: user.key, nats }, signer, now_ms);
}

function issuerKey(issuer: string): KeyObject {
  try {
    return publicKeyObject(decodePublic(issuer.startsWith("O") ? "operator" : "account", issuer));
  } catch (cause) {
    throw new FleetError("INVALID", "NATS JWT: its issuer is no nkey", { cause });
  }
}

const Claims = z.object({
  sub: z.string(),
  iss: z.string(),
  iat: z.number(),
  exp: z.number().optional(),
  name: z.string().optional(),
  nats: z.looseObject({ type: z.string() }),
});
export type Claims = z.infer<typeof Claims>;

/**
 * Reads a JWT and checks its signature against the issuer it names, which must be `issuer` where that is given. Expiry is the caller's to judge.
 * Errors: INVALID for a damaged token, BAD_SIGNATURE for a forged one.
 */
export function readJwt(token: string, issuer?: string): Claims {
  const [head, body, signature, ...rest] = token.split(".");
  if (head !== HEADER || body === undefined || signature === undefined || rest.length > 0) {
    throw new FleetError("INVALID", "not a NATS JWT");
  }
  const claims = parseJson(Claims, Buffer.from(body, "base64url"), "NATS JWT");
  const key = issuerKey(claims.iss);
  const good = verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, "base64url"));
  if (!good || (issuer !== undefined && issuer !== claims.iss))
    throw new FleetError("BAD_SIGNATURE", "NATS JWT");
  return claims;
}
