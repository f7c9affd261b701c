/**
 * Port to Vault over `node-vault` 0.12, of which only the assembly of requests is used. What that library does wrong is
 * replaced here or in the files beside this one: its HTTP (vault-http.ts), its paths (vault-paths.ts), its errors
 * (vault-answers.ts), its renewal (vault-renewal.ts), its one shared token and its reading of VAULT_* and DEBUG.
 * The verbs of one mount are in transit.ts, pki.ts and sshca.ts. API: developer.hashicorp.com/vault/api-docs.
 */
import { FleetError, parse } from "@muster/protocol/errors";
import * as z from "zod";
import { answerContent } from "./vault-answers.ts";
import { openHttp } from "./vault-http.ts";
import { showPath, type VaultPath } from "./vault-paths.ts";
import { keepRenewed, type Lease, type RenewalEvent } from "./vault-renewal.ts";
import {
  ask,
  askHealth,
  askNodes,
  type Call,
  checkedAddress,
  type Servers,
  type VaultHealth,
  type VaultNode,
} from "./vault-servers.ts";

export type { VaultPath } from "./vault-paths.ts";
export type { RenewalEvent } from "./vault-renewal.ts";
export type { VaultHealth, VaultNode } from "./vault-servers.ts";

export type VaultOptions = {
  /** `https://host:port`, tried in this order; the one that answered last is asked first. */
  readonly addresses: readonly string[];
  /** The only CA that a server's certificate may come from. */
  readonly ca_pem: string;
  /** Limit of one request to one server. */
  readonly timeout_ms?: number;
  /** How long servers without a leader are asked again (default 10 s). */
  readonly patience_ms?: number;
  /** What the certificate must be for, where the address says otherwise. */
  readonly server_name?: string;
  /** What is shown in TLS, for `loginCert`. PEM; the key is a secret. */
  readonly client?: { readonly certificate_pem: string; readonly key_pem: string };
};

export type WriteOptions = {
  /** Asks for the answer wrapped in a one-use token of this life (`wrap_info` in the answer). */
  readonly wrap_ttl_s?: number;
  /** Done twice it does no harm: it is asked of another server when this one falls silent in mid-request. */
  readonly repeatable?: boolean;
};

const TokenData = z.object({
  ttl: z.int().min(0),
  creation_ttl: z.int().min(0).default(0),
  renewable: z.boolean().default(false),
  policies: z.array(z.string()).default([]),
  identity_policies: z.array(z.string()).nullish(),
  display_name: z.string().default(""),
  entity_id: z.string().default(""),
  accessor: z.string().default(""),
  expire_time: z.string().nullish(),
  meta: z.record(z.string(), z.string()).nullish(),
});
/** What Vault says about a token, without the token. Times in seconds. */
export type TokenInfo = z.infer<typeof TokenData>;

const Auth = z.object({
  auth: z.object({
    client_token: z.string().min(1),
    lease_duration: z.int().min(0),
    renewable: z.boolean().default(false),
  }),
});

/** One identity at Vault. Its token is in here and nowhere else: not in an error, not in a log line, not in JSON. */
export interface Vault {
  /** The same servers under another token. */
  withToken(token: string): Vault;
  /** Logs in; the new identity comes back, this one stays as it is. Wrong credentials: `VAULT_DENIED`. */
  loginAppRole(role_id: string, secret_id: string, mount?: string): Promise<Vault>;
  loginUserpass(user: string, password: string, mount?: string): Promise<Vault>;
  /** By the certificate that this port shows in TLS (`VaultOptions.client`). */
  loginCert(role: string, mount?: string): Promise<Vault>;
  /** By a token that somebody else signed, such as a forge for a job. The token is a secret. */
  loginJwt(role: string, jwt: string, mount: string): Promise<Vault>;
  /** The end of a log-in at an identity provider that `auth/<mount>/oidc/auth_url` began: works once. */
  loginOidc(answer: { state: string; code: string; client_nonce: string }, mount: string): Promise<Vault>;
  /**
   * `schema` reads the answer's `data`, or the whole answer where Vault sends no data (log-ins, wrapping, `sys/init`).
   * All verbs: `VAULT_UNREACHABLE`, `VAULT_SEALED`, `VAULT_DENIED`, `VAULT_NOT_FOUND`, `VAULT_REFUSED` with Vault's own
   * words; `INVALID` for a path that cannot be one and for an answer of another form.
   */
  read<S extends z.ZodType>(path: VaultPath, schema: S): Promise<z.output<S>>;
  write(path: VaultPath, body: object): Promise<unknown>;
  write<S extends z.ZodType>(
    path: VaultPath,
    body: object,
    schema: S,
    options?: WriteOptions,
  ): Promise<z.output<S>>;
  /** The keys below a path; none when there is nothing. `schema` reads each key. */
  list(path: VaultPath): Promise<string[]>;
  list<S extends z.ZodType>(path: VaultPath, schema: S): Promise<z.output<S>[]>;
  /** What Vault says of all keys below a path, by `schema`; of an empty one `{}`. */
  listing<S extends z.ZodType>(path: VaultPath, schema: S): Promise<z.output<S>>;
  remove(path: VaultPath): Promise<void>;
  /** The first server that is open, else the first that answers. Needs no token. */
  health(): Promise<VaultHealth>;
  /** Every server by its address, all asked at once. Needs no token. */
  nodes(): Promise<VaultNode[]>;
  lookupSelf(): Promise<TokenInfo>;
  /** Ends this token and everything that hangs on it. */
  revokeSelf(): Promise<void>;
  /**
   * Keeps this identity alive until the signal aborts: renews at half of life, logs in again with `login` where renewing
   * leads nowhere, and does not stop for a failure. Resolves when the signal aborts.
   */
  keepToken(
    options: { login?: () => Promise<Vault>; report?: (event: RenewalEvent) => void },
    signal: AbortSignal,
  ): Promise<void>;
  /** The token itself, for the one place that has to keep it (an operator's session file, mode 0600). */
  revealToken(): string | undefined;
}

/**
 * Opens nothing yet: the first request does. The signal is the lifetime of this port and of every identity that comes
 * from it. FleetError `CONFIG` for an address that is not `https://host[:port]`.
 */
export function openVault(options: VaultOptions, signal: AbortSignal): Vault {
  const addresses = options.addresses.map(checkedAddress);
  if (addresses.length === 0) throw new FleetError("CONFIG", "Vault needs at least one address");
  const http = openHttp(
    {
      ca_pem: options.ca_pem,
      timeout_ms: options.timeout_ms ?? 5_000,
      ...(options.server_name === undefined ? {} : { server_name: options.server_name }),
      ...(options.client === undefined ? {} : { client: options.client }),
    },
    signal,
  );
  const patience_ms = options.patience_ms ?? 10_000;
  return identity({ http, addresses, links: undefined, last_good: 0, patience_ms }, undefined, undefined);
}

function identity(servers: Servers, first_token: string | undefined, first_lease: Lease | undefined): Vault {
  let token = first_token;
  let lease = first_lease;

  const login = async (
    path: VaultPath,
    what: Pick<Call, "body" | "query">,
    repeatable = true,
  ): Promise<Vault> => {
    const method = what.query === undefined ? "POST" : "GET";
    const answer = await ask(servers, undefined, { method, path, login: true, repeatable, ...what });
    const { auth } = parse(Auth, answer, `answer to the log-in at ${showPath(path)}`);
    return identity(servers, auth.client_token, leaseOf(auth));
  };

  const lookupSelf = async (): Promise<TokenInfo> =>
    parse(
      TokenData,
      answerContent(await ask(servers, token, { method: "GET", path: "auth/token/lookup-self" })),
      "Vault's answer about the token",
    );

  async function listing<S extends z.ZodType>(path: VaultPath, schema: S): Promise<z.output<S>> {
    const answer = await ask(servers, token, { method: "LIST", path }).catch((error: unknown) => {
      // Vault answers an empty list so.
      if (error instanceof FleetError && error.code === "VAULT_NOT_FOUND") return {};
      throw error;
    });
    return parse(schema, answerContent(answer), `Vault's answer to LIST ${showPath(path)}`);
  }

  async function list<S extends z.ZodType>(path: VaultPath, schema?: S): Promise<unknown[]> {
    return (await listing(path, z.object({ keys: z.array(schema ?? z.string()).default([]) }))).keys;
  }

  async function write(
    path: VaultPath,
    body: object,
    schema?: z.ZodType,
    options?: WriteOptions,
  ): Promise<unknown> {
    const headers = options?.wrap_ttl_s === undefined ? {} : { "X-Vault-Wrap-TTL": `${options.wrap_ttl_s}s` };
    const repeatable = options?.repeatable === true;
    const content = answerContent(
      await ask(servers, token, { method: "POST", path, body, headers, repeatable }),
    );
    return schema === undefined
      ? content
      : parse(schema, content, `Vault's answer to POST ${showPath(path)}`);
  }

  return {
    withToken: (other) => identity(servers, checkedToken(other), undefined),
    loginAppRole: (role_id, secret_id, mount = "approle") =>
      login(["auth", mount, "login"], { body: { role_id, secret_id } }),
    loginUserpass: (user, password, mount = "userpass") =>
      login(["auth", mount, "login", user], { body: { password } }),
    loginCert: (role, mount = "cert") => login(["auth", mount, "login"], { body: { name: role } }),
    loginJwt: (role, jwt, mount) => login(["auth", mount, "login"], { body: { role, jwt } }),
    loginOidc: (answer, mount) => login(["auth", mount, "oidc", "callback"], { query: answer }, false),
    read: async (path, schema) =>
      parse(
        schema,
        answerContent(await ask(servers, token, { method: "GET", path })),
        `Vault's answer to GET ${showPath(path)}`,
      ),
    write: write as Vault["write"],
    list: list as Vault["list"],
    listing,
    remove: async (path) => void (await ask(servers, token, { method: "DELETE", path })),
    health: () => askHealth(servers),
    nodes: () => askNodes(servers),
    lookupSelf,
    revokeSelf: async () => {
      await ask(servers, token, { method: "POST", path: "auth/token/revoke-self", body: {} });
      token = undefined;
    },
    keepToken: (options, signal) =>
      keepRenewed(
        lease,
        {
          lookup: async () => {
            const info = await lookupSelf();
            return leaseOfInfo(info, info.creation_ttl);
          },
          renew: async () => {
            const answer = await ask(servers, token, {
              method: "POST",
              path: "auth/token/renew-self",
              body: {},
            });
            lease = leaseOf(parse(Auth, answer, "Vault's answer to the renewal").auth);
            return lease;
          },
          login:
            options.login &&
            (async () => {
              const fresh = await options.login?.();
              token = fresh?.revealToken();
              const info = await lookupSelf();
              lease = leaseOfInfo(info, info.ttl);
              return lease;
            }),
          report: options.report,
        },
        signal,
      ),
    revealToken: () => token,
  };
}

function leaseOf(auth: { lease_duration: number; renewable: boolean }): Lease {
  return { ttl_s: auth.lease_duration, granted_s: auth.lease_duration, renewable: auth.renewable };
}

/** Of a token that never ends Vault says `ttl: 0` and no `expire_time`; `ttl: 0` alone is its last second. */
function leaseOfInfo(info: TokenInfo, granted_s: number): Lease {
  const endless = info.ttl === 0 && (info.expire_time ?? null) === null;
  return { ttl_s: endless ? Number.POSITIVE_INFINITY : info.ttl, granted_s, renewable: info.renewable };
}

/** A token goes into a header: line breaks and the like would be refused by Node with the token in the error. */
function checkedToken(token: string): string {
  if (!/^[\x21-\x7e]{1,4096}$/.test(token)) throw new FleetError("INVALID", "that is not a Vault token");
  return token;
}
