/** By which way somebody logs in: a password, the firm's identity provider, or, for a job, its forge. What only the latter need is loaded for them alone. */
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { readText } from "../fleet/disk.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { byPassword, type Way } from "./login.ts";
import { readSecret } from "./passphrase.ts";

/** Where a job's token is, as the forge is told to put it there. */
export const TOKEN_VARIABLE = "MUSTER_ID_TOKEN";

/** What was typed of the ways to log in. */
export type Ways = {
  readonly password_file: string | undefined;
  readonly oidc: boolean;
  readonly password: boolean;
  readonly paste: boolean;
  readonly port: string | undefined;
  readonly ci: boolean;
  readonly token_file: string | undefined;
};

/** Errors: USAGE for two ways at once. */
export function checkTogether(options: Ways): void {
  const { oidc, ci, paste, port, password_file, token_file } = options;
  const password = options.password || password_file !== undefined;
  if ([oidc, ci, password].filter(Boolean).length > 1)
    throw new FleetError("USAGE", "one way at a time: --oidc, --ci, or a password");
  if (token_file !== undefined && !ci) throw new FleetError("USAGE", "--token-file goes with --ci");
  if ((paste || port !== undefined) && (ci || password))
    throw new FleetError("USAGE", "--paste and --port go with --oidc");
}

/** How this person or job shows Vault who they are. */
export async function wayOf(
  context: Context,
  person: string,
  by_oidc: boolean,
  options: Partial<Ways>,
): Promise<Way> {
  if (options.ci === true) {
    const { loginByForge } = await import("./oidc.ts");
    const token = await jobToken(options.token_file);
    return (vault) => loginByForge(vault, person, token);
  }
  if (by_oidc) {
    const { loginByProvider } = await import("./oidc.ts");
    const port = options.port === undefined ? undefined : readWord(Port, options.port, "--port");
    return (vault) => loginByProvider(context, vault, person, { paste: options.paste === true, port });
  }
  return byPassword(person, await readSecret(context, options.password_file, `password of ${person}`));
}

const Port = z.coerce.number().pipe(z.int().min(1).max(65_535));

/** The token that the forge signed for this job; never an argument, since every process may read those. Errors: USAGE. */
async function jobToken(file: string | undefined): Promise<string> {
  const text = file === undefined ? process.env[TOKEN_VARIABLE] : await readText(file);
  const token = (text ?? "").trim();
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token))
    throw new FleetError(
      "USAGE",
      `${file ?? `$${TOKEN_VARIABLE}`} holds no token: the job has to ask the forge for one (docs/runbook/log-in-by-sso-and-ci.md)`,
    );
  return token;
}
