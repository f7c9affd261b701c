/**
 * Log-ins by the word of somebody else, at Vault: a person's by the firm's identity provider, a job's by its forge. Vault makes state, nonce and the PKCE
 * challenge, talks with the provider and judges what it says; here the browser is sent there and caught again. Loaded only when such a log-in is asked for.
 */
import { randomBytes } from "node:crypto";
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { CALLBACK_PORTS, CI_LOGIN, callbackAddress, OIDC_LOGIN } from "../fleet/vault-logins.ts";
import { withNext } from "../output/error.ts";
import type { Context } from "../program/context.ts";
import { openCallback, readAnswer } from "./callback.ts";

const Begun = z.object({ auth_url: z.string() });

/** How the person gets the browser's answer back. */
export type Browser = {
  /** The person pastes the address that the browser ended at: it runs elsewhere. So it is over ssh, too. */
  readonly paste: boolean;
  /** Another port than those that are tried, which is listened at; the provider must know it. */
  readonly port: number | undefined;
};

/** Errors: VAULT_DENIED with why, NOT_ALLOWED for whom nobody let in, FAILED without a free port, TIMEOUT, VAULT_*. */
export async function loginByProvider(
  context: Context,
  vault: Vault,
  person: string,
  browser: Browser,
): Promise<Vault> {
  const ports = browser.port === undefined ? CALLBACK_PORTS : [browser.port];
  const paste = browser.paste || (browser.port === undefined && context.output.interactive && isElsewhere());
  const callback = paste ? null : await openCallback(ports);
  try {
    const address = callback?.address ?? callbackAddress(ports[0] ?? CALLBACK_PORTS[0]);
    const client_nonce = randomBytes(24).toString("base64url");
    const { url, state } = await begin(vault, person, address, client_nonce);
    const { output } = context;
    output.note(`log in as ${person} here:\n\n  ${url}\n`);
    let code: string;
    if (callback === null) {
      output.note("the browser then ends at an address that it cannot open, on localhost: copy all of it");
      code = readAnswer(pasted(await output.ask("paste it here"), address), address, state);
    } else {
      if (output.interactive && hasScreen()) {
        const { openInBrowser } = await import("../server/run.ts");
        openInBrowser(url);
      }
      const progress = output.progress("waiting for the browser");
      code = await callback.code(state, context.asking).finally(() => progress.done());
    }
    return await vault.loginOidc({ state, code, client_nonce }, OIDC_LOGIN).catch((error: unknown) => {
      throw told(error, person, "oidc");
    });
  } finally {
    callback?.close();
  }
}

/** Where the provider is to be visited. What comes from there has to be for this log-in. */
async function begin(
  vault: Vault,
  role: string,
  redirect_uri: string,
  client_nonce: string,
): Promise<{ url: string; state: string }> {
  const order = { role, redirect_uri, client_nonce };
  const path = ["auth", OIDC_LOGIN, "oidc", "auth_url"];
  const { auth_url } = await vault.write(path, order, Begun).catch((error: unknown) => {
    throw told(error, role, "begun");
  });
  // Vault says so little when it has no way: why stands in its log only.
  if (auth_url === "")
    throw new FleetError(
      "VAULT_REFUSED",
      "Vault has no way to the identity provider: that does not answer it, or its settings changed (ctl operator provider)",
    );
  const url = new URL(auth_url);
  const asked = (name: string) => url.searchParams.get(name) ?? "";
  const sound =
    url.protocol === "https:" &&
    asked("redirect_uri") === redirect_uri &&
    asked("state").length >= 16 &&
    asked("nonce").length >= 16 &&
    asked("code_challenge_method") === "S256";
  if (!sound)
    throw new FleetError("INVALID", "Vault's address for the log-in lacks https, state, nonce or PKCE");
  return { url: url.href, state: asked("state") };
}

function pasted(text: string, address: string): URL {
  const word = text.trim().replace(/^["'<]|["'>]$/g, "");
  if (!URL.canParse(word))
    throw new FleetError("USAGE", `that is no address: it begins with ${address}?code=… or ?state=…`);
  return new URL(word);
}

const hasScreen = () =>
  process.platform === "darwin" || (process.env.DISPLAY ?? process.env.WAYLAND_DISPLAY ?? "") !== "";

/** Over ssh the browser is on the machine that the person sits at. */
const isElsewhere = () => (process.env.SSH_CONNECTION ?? "") !== "" && !hasScreen();

/** A job of a forge, by the token that the forge signed for it. Errors: VAULT_DENIED with why, NOT_ALLOWED, VAULT_*. */
export async function loginByForge(vault: Vault, job: string, token: string): Promise<Vault> {
  try {
    return await vault.loginJwt(job, token, CI_LOGIN);
  } catch (error) {
    throw told(error, job, "ci");
  }
}

type Reason = { readonly words: RegExp; readonly say: (name: string, words: string) => FleetError };
const denied = (text: string) => new FleetError("VAULT_DENIED", text);
const SILENCE = /connection refused|no such host|i\/o timeout|deadline exceeded|connection reset|no route/;

/**
 * Vault tells its reasons in words alone (vault-plugin-auth-jwt: path_oidc.go, path_login.go, claims.go); what is not here is passed on as it is.
 * `begun`: before the browser is sent anywhere.
 */
const REASONS: Readonly<Record<"begun" | "oidc" | "ci", readonly Reason[]>> = {
  begun: [
    {
      words: /could not be found/,
      say: (name) =>
        withNext(
          new FleetError("NOT_ALLOWED", `nobody called ${name} logs in by the identity provider`),
          `an admin: ctl operator add ${name} --rank RANK --oidc email=ADDRESS`,
        ),
    },
    {
      words: /could not load configuration|missing client token|permission denied|not configured/i,
      say: () =>
        withNext(
          denied("this fleet knows no identity provider"),
          "an admin: ctl operator provider --oidc https://…",
        ),
    },
  ],
  oidc: [
    {
      words: SILENCE,
      say: () => new FleetError("VAULT_UNREACHABLE", "the identity provider does not answer Vault"),
    },
    { words: /permission denied/i, say: (name) => denied(`${name} was cut off`) },
    {
      words: /claim "?email_verified"?/,
      say: () => denied("the identity provider does not vouch for that e-mail address (email_verified)"),
    },
    {
      words: /does not match any associated bound claim|claim .* (is missing|not found)/,
      say: (name) => denied(`whom the identity provider let in is not ${name}`),
    },
    { words: /nonce/, say: () => denied("the identity provider answered another log-in (nonce)") },
    {
      words: /token is expired|expired token|is expired/,
      say: () => denied("what the identity provider signed has expired: are the clocks right?"),
    },
    {
      words: /invalid_grant/,
      say: () => denied("the identity provider takes its code back: it was used, or made for another client"),
    },
    {
      words: /Expired or missing OAuth state/,
      say: () => denied("this log-in is over: it works once, within five minutes"),
    },
  ],
  ci: [
    {
      words: SILENCE,
      say: () => new FleetError("VAULT_UNREACHABLE", "the forge does not answer Vault, which needs its keys"),
    },
    {
      words: /could not be found/,
      say: (name) =>
        withNext(
          new FleetError("NOT_ALLOWED", `no job logs in as ${name}`),
          `an admin: ctl operator add ${name} --rank ci --forge gitlab --project PATH --ref main`,
        ),
    },
    {
      words: /could not load configuration/i,
      say: () =>
        withNext(denied("this fleet knows no forge"), "an admin: ctl operator provider --forge https://…"),
    },
    {
      words: /permission denied/i,
      say: (name) => denied(`${name} was cut off, or this fleet knows no forge`),
    },
    {
      words: /claim "?[\w./-]+"? (does not match|is missing|not found)/,
      say: (name, words) => {
        const [, claim] = /claim "?([\w./-]+)"?/.exec(words) ?? [];
        return denied(`the forge's token is not for what ${name} is bound to: ${claim} differs`);
      },
    },
    { words: /expired/, say: () => denied("the forge's token has expired: ask for one in the job itself") },
    { words: /audience|\baud\b/, say: () => denied("the forge's token is for another audience") },
    { words: /issuer|\biss\b/, say: () => denied("the token is of another forge") },
    { words: /signature/, say: () => denied("the token is not signed by the forge that this fleet knows") },
  ],
};

function told(error: unknown, name: string, by: keyof typeof REASONS): unknown {
  if (!(error instanceof FleetError) || !["VAULT_DENIED", "VAULT_REFUSED"].includes(error.code)) return error;
  const reason = REASONS[by].find(({ words }) => words.test(error.detail));
  return reason === undefined ? error : Object.assign(reason.say(name, error.detail), { cause: error });
}
