/**
 * The servers of one Vault: which is asked, in what order, and what is asked again of the next. `node-vault` assembles the
 * requests; its HTTP and its errors are ours.
 */
import { FleetError, parse } from "@muster/protocol/errors";
import * as z from "zod";
import { answerError, answersElsewhere, isPassing } from "./vault-answers.ts";
import type { Http, Outcome } from "./vault-http.ts";
import { encodePath, showPath, type VaultPath } from "./vault-paths.ts";

const HealthData = z.object({
  initialized: z.boolean(),
  sealed: z.boolean(),
  standby: z.boolean().default(false),
  version: z.string().default(""),
  server_time_utc: z.number().default(0),
  cluster_id: z.string().default(""),
  /** HashiCorp's says it, OpenBao does not. */
  enterprise: z.boolean().optional(),
});
export type VaultHealth = z.infer<typeof HealthData> & { readonly address: string };
/** One server by its address: how it is, or why it does not say. */
export type VaultNode = { readonly address: string; readonly health: VaultHealth | FleetError };

type Request = (
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
) => Promise<Outcome>;
type Link = { readonly address: string; readonly request: Request };

export type Servers = {
  readonly http: Http;
  readonly addresses: readonly string[];
  /** Made at the first request: the library costs 60 ms to load. */
  links: Promise<Link[]> | undefined;
  last_good: number;
  /** How long a cluster without a leader is asked again: an election takes two or three seconds. */
  readonly patience_ms: number;
};
const AGAIN_MS = 200;

export function checkedAddress(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (
    url?.protocol !== "https:" ||
    url.pathname !== "/" ||
    url.search !== "" ||
    url.hash !== "" ||
    url.username !== ""
  ) {
    throw new FleetError(
      "CONFIG",
      `Vault address ${JSON.stringify(address.slice(0, 200))}: must be https://host:port`,
    );
  }
  return url.origin;
}

/** One `node-vault` client per server, with nothing taken from the environment and no token in it. */
async function openLinks(servers: Servers): Promise<Link[]> {
  const { default: nodeVault } = await import("node-vault");
  return servers.addresses.map((address) => {
    const client = nodeVault({
      endpoint: address,
      debug: () => undefined,
      commands: {},
      // Its look at whether path and method are text takes longer than putting the request together.
      tv4: Object.assign(() => true, { validate: () => true }),
      "request-promise": {
        defaults:
          () => (request: { uri: string; method: string; headers: Record<string, string>; json?: unknown }) =>
            servers.http.exchange({
              uri: request.uri,
              method: request.method,
              headers: request.headers,
              body: request.json,
            }),
      },
    });
    // The constructor falls back to VAULT_TOKEN, VAULT_PREFIX and VAULT_NAMESPACE when these are empty.
    Object.assign(client, {
      token: undefined,
      pathPrefix: "",
      namespace: undefined,
      handleVaultResponse: (outcome: Outcome) => Promise.resolve(outcome),
    });
    const request: Request = (method, path, body, headers) =>
      client.request({ method, path: `/${path}`, headers, ...(body === undefined ? {} : { json: body }) });
    return { address, request };
  });
}

export type Call = {
  readonly method: string;
  readonly path: VaultPath;
  readonly body?: unknown;
  /** Behind the path; kept out of errors as a body is. */
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Record<string, string>;
  readonly login?: boolean;
  /** Carried out twice it does no harm: a signature, a read (which is taken for one unless it says no). */
  readonly repeatable?: boolean;
};

/**
 * Asks server after server until one has an answer of its own; while they choose a leader or convert a store, again and again. What may have been
 * carried out is asked twice only when it is `repeatable`.
 */
export async function ask(servers: Servers, token: string | undefined, call: Call): Promise<unknown> {
  const deadline = performance.now() + servers.patience_ms;
  for (;;) {
    const round = await askRound(servers, token, call);
    if (round.done) return round.body;
    if (!round.may_come || performance.now() > deadline) throw round.error;
    await servers.http.wait(AGAIN_MS);
  }
}

type Round =
  | { readonly done: true; readonly body: unknown }
  /** `may_come`: a leader is being chosen, or a store converted. */
  | { readonly done: false; readonly may_come: boolean; readonly error: FleetError };

async function askRound(servers: Servers, token: string | undefined, call: Call): Promise<Round> {
  const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query)}`;
  const path = encodePath(call.path) + query;
  const about = `${call.method} ${showPath(call.path)}`;
  servers.links ??= openLinks(servers);
  const links = await servers.links;
  const repeatable = call.repeatable ?? (call.method === "GET" || call.method === "LIST");
  const start = servers.last_good;
  let worst: FleetError | undefined;
  let may_come = false;
  for (let offset = 0; offset < links.length; offset++) {
    const at = (start + offset) % links.length;
    const link = links[at];
    if (link === undefined) continue;
    const headers = { ...call.headers, ...(token === undefined ? {} : { "X-Vault-Token": token }) };
    const outcome = await link.request(call.method, path, call.body, headers);
    if (outcome.kind === "silence") {
      if (outcome.error.code === "CANCELLED") throw outcome.error;
      const lost = outcome.sent && !repeatable;
      const note = lost ? "; the request had been sent and may have been carried out" : "";
      const error = new FleetError(outcome.error.code, `${about}: ${outcome.error.detail}${note}`);
      if (lost) throw error;
      worst ??= error;
      continue;
    }
    const error = answerError(outcome, about, {
      token,
      sent: call.query ?? call.body,
      login: call.login === true,
    });
    const passing = isPassing(outcome);
    // One server alone that redirects is misconfigured, and waiting mends nothing.
    if (passing && (links.length > 1 || outcome.status !== 307)) may_come = true;
    if (error === undefined || !(passing || answersElsewhere(outcome.status))) {
      servers.last_good = at;
      if (error !== undefined) throw error;
      return { done: true, body: outcome.body };
    }
    // "Sealed" tells the operator more than "unreachable".
    if (worst?.code !== "VAULT_SEALED") worst = error.code === "VAULT_SEALED" ? error : (worst ?? error);
  }
  return { done: false, may_come, error: worst ?? new FleetError("VAULT_UNREACHABLE", about) };
}

/** Every server at once, in the order of the addresses. */
export async function askNodes(servers: Servers): Promise<VaultNode[]> {
  servers.links ??= openLinks(servers);
  const links = await servers.links;
  return Promise.all(
    links.map(async ({ address, request }) => {
      // Its status codes say standby, sealed and so on again, which the body says better.
      const outcome = await request("GET", "sys/health", undefined, {});
      if (outcome.kind === "silence") return { address, health: outcome.error };
      const health = { ...parse(HealthData, outcome.body, `health of ${address}`), address };
      return { address, health };
    }),
  );
}

export async function askHealth(servers: Servers): Promise<VaultHealth> {
  const nodes = await askNodes(servers);
  const answers = nodes.flatMap(({ health }) => (health instanceof FleetError ? [] : [health]));
  const best = answers.find((health) => health.initialized && !health.sealed) ?? answers[0];
  if (best !== undefined) return best;
  const [worst] = nodes.flatMap(({ health }) => (health instanceof FleetError ? [health] : []));
  throw worst ?? new FleetError("VAULT_UNREACHABLE", "sys/health");
}
