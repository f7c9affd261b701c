/**
 * A real identity provider on loopback (`oidc-provider`, TLS, its own keys), a browser that logs in there, and a forge that signs its jobs' tokens with the
 * same keys. What a person or token is, is the test's to say.
 */
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { request as plainRequest } from "node:http";
import { createServer, request, type Server } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, temporaryDirectory } from "./child.ts";
import { loopbackTls } from "./tls.ts";

export const CLIENT = { id: "muster", secret: "a-secret-of-the-client-that-nobody-reads" } as const;

export type IdentityProvider = {
  readonly issuer: string;
  readonly ca_pem: string;
  /** What it says of the people it knows, beside `sub`. */
  readonly people: Map<string, Record<string, unknown>>;
  /** Its tokens live a second and arrive after two. */
  slow: boolean;
  /** Signs whatever claims, as a forge does for a job: `iss`, `iat`, `nbf` and `exp` (5 min) unless they are given. */
  jobToken(claims: Record<string, unknown>): string;
  /** Logs in as `sub` like a person in a browser, from the address that `ctl` printed; gives the address where it ended, unvisited. */
  logIn(address: string, sub: string): Promise<string>;
  /** It goes away, and comes back on the same port. */
  halt(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/** @param callback_ports where the browser may be sent back to */
export async function startIdentityProvider(callback_ports: readonly number[]): Promise<IdentityProvider> {
  const { path, release } = await temporaryDirectory("identity-provider");
  const tls = await loopbackTls(path);
  const port = await freePort();
  const issuer = `https://localhost:${port}`;
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const jwk = { ...key.export({ format: "jwk" }), kid: "one", use: "sig", alg: "RS256" };
  const people = new Map<string, Record<string, unknown>>();
  const about = { slow: false };
  const { default: Provider } = await quietly(() => import("oidc-provider"));
  const redirect_uris = callback_ports.map((one) => `http://localhost:${one}/oidc/callback`);
  const client = { redirect_uris, application_type: "native", grant_types: ["authorization_code"] };
  const provider = await quietly(
    async () =>
      new Provider(issuer, {
        clients: [
          { ...client, client_id: CLIENT.id, client_secret: CLIENT.secret },
          { ...client, client_id: "somebody-elses", client_secret: "another" },
        ],
        jwks: { keys: [jwk] },
        claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"] },
        conformIdTokenClaims: false,
        cookies: { keys: ["a key for cookies"] },
        features: { devInteractions: { enabled: true } },
        ttl: {
          IdToken: () => (about.slow ? 1 : 300),
          Grant: 600,
          Session: 600,
          Interaction: 600,
          AccessToken: 600,
        },
        findAccount: (_context: unknown, sub: string) => ({
          accountId: sub,
          claims: () => ({ sub, ...people.get(sub) }),
        }),
      }),
  );
  provider.use(async ({ path }, next) => {
    await next();
    if (about.slow && path === "/token") await sleep(2_100);
  });
  const [cert, private_pem] = await Promise.all([readFile(tls.certificate_file), readFile(tls.key_file)]);
  let server: Server | undefined;
  const start = async () => {
    server = createServer({ cert, key: private_pem }, provider.callback()).listen(port);
    await once(server, "listening");
  };
  const halt = async () => {
    server?.close();
    server?.closeAllConnections();
    server = undefined;
  };
  await start();
  return {
    issuer,
    ca_pem: tls.ca.certificate_pem,
    people,
    get slow() {
      return about.slow;
    },
    set slow(slow) {
      about.slow = slow;
    },
    jobToken(claims) {
      const now_s = Math.floor(Date.now() / 1_000);
      const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const all = { iss: issuer, iat: now_s, nbf: now_s, exp: now_s + 300, ...claims };
      const body = `${part({ alg: "RS256", typ: "JWT", kid: "one" })}.${part(all)}`;
      return `${body}.${sign("sha256", Buffer.from(body), createPrivateKey(key.export({ type: "pkcs8", format: "pem" }))).toString("base64url")}`;
    },
    logIn: (address, sub) => browse(address, sub, tls.ca.certificate_pem),
    halt,
    start,
    async stop() {
      await halt();
      await release();
    },
  };
}

/** It warns on the console of what a test means to have: its forms for developers, a Node of the year before. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { warn, info } = console;
  console.warn = console.info = () => undefined;
  try {
    return await work();
  } finally {
    Object.assign(console, { warn, info });
  }
}

type Page = { readonly status: number; readonly location: string | undefined; readonly text: string };

/** GET of a page on plain HTTP: where the browser ends. */
export function visit(address: string): Promise<Page> {
  return exchange((done) => plainRequest(address, done).end());
}

function exchange(
  send: (done: (response: import("node:http").IncomingMessage) => void) => {
    on(name: "error", listener: (error: Error) => void): unknown;
  },
): Promise<Page & { cookies: readonly string[] }> {
  return new Promise((resolve, reject) => {
    const call = send((response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          location: response.headers.location,
          text,
          cookies: response.headers["set-cookie"] ?? [],
        }),
      );
    });
    call.on("error", reject);
  });
}

/** Follows the provider's pages, fills in its two forms, and stops where it is sent back to `ctl`. */
async function browse(start: string, sub: string, ca: string): Promise<string> {
  const jar = new Map<string, string>();
  let address = new URL(start);
  let form: string | undefined;
  for (let steps = 0; steps < 20; steps++) {
    const page = await exchange((done) => {
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
      const type = form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" };
      const call = request(
        address,
        { ca, agent: false, method: form === undefined ? "GET" : "POST", headers: { cookie, ...type } },
        done,
      );
      call.end(form);
      return call;
    });
    form = undefined;
    for (const line of page.cookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name === undefined || value === undefined) continue;
      if (value === "") jar.delete(name);
      else jar.set(name, value);
    }
    if (page.location !== undefined) {
      address = new URL(page.location, address);
      if (address.protocol === "http:") return address.href;
      continue;
    }
    const [, prompt] = /name="prompt" value="(\w+)"/.exec(page.text) ?? [];
    if (prompt === undefined) throw new Error(`${address.href}: ${page.status} ${page.text.slice(0, 2_000)}`);
    form = String(new URLSearchParams({ prompt, login: sub, password: "any" }));
  }
  throw new Error(`no end at ${address.href}`);
}
