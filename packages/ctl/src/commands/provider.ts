/** `ctl operator provider`: at which identity provider people log in, and which forge's jobs do. Vault asks both itself; whom they let in is said by `add`. */
import { FleetError } from "@muster/protocol/errors";
import { readText } from "../fleet/disk.ts";
import { providerOf, setProvider } from "../fleet/foreign-logins.ts";
import { audienceOf, CALLBACK_PORTS, CI_LOGIN, callbackAddress, OIDC_LOGIN } from "../fleet/vault-logins.ts";
import { withNext } from "../output/error.ts";
import { defineCommand } from "../program/command.ts";
import { noteAct } from "../session/note.ts";
import { readSecret } from "../session/passphrase.ts";
import { openSession } from "../session/session.ts";

export const provider = defineCommand({
  name: "provider",
  summary: "the identity provider of people, and the forge of jobs",
  options: {
    oidc: { flag: "--oidc <url>", help: "people's: its address, without /.well-known" },
    client_id: { flag: "--client-id <id>", help: "with --oidc: how the fleet is known there" },
    client_secret_file: {
      flag: "--client-secret-file <file>",
      help: "with --oidc: where the client's secret is; asked for without it",
    },
    forge: { flag: "--forge <url>", help: "jobs': its address, as its tokens say it (iss)" },
    ca: {
      flag: "--provider-ca <file>",
      help: "the CA of its certificate, PEM, where Vault's machine does not know it",
    },
  },
  example: `ctl operator provider                        what is set
ctl operator provider --oidc https://id.example.org --client-id muster --client-secret-file secret
ctl operator provider --forge https://gitlab.example.org`,
  async run(context, { options }) {
    const { output } = context;
    const url = options.oidc ?? options.forge;
    if (options.oidc !== undefined && options.forge !== undefined)
      throw new FleetError("USAGE", "--oidc or --forge: one at a time");
    if (options.oidc !== undefined && options.client_id === undefined)
      throw new FleetError("USAGE", "--oidc needs --client-id: how the fleet is known at the provider");
    const issuer = url === undefined ? null : checkedIssuer(url);
    const ca_pem = options.ca === undefined ? null : await caOf(options.ca);
    const session = await openSession(context, { rank: "admin" });
    const vault = await session.vault();
    if (issuer !== null) {
      output.begin(session.fleet, session.person);
      const client =
        options.client_id === undefined
          ? null
          : {
              id: options.client_id,
              secret: await readSecret(context, options.client_secret_file, `secret of ${options.client_id}`),
            };
      const login = options.oidc === undefined ? CI_LOGIN : OIDC_LOGIN;
      const progress = output.progress(`Vault asks ${issuer}`);
      await setProvider(vault, login, { issuer, ca_pem, client })
        .catch((error: unknown) => Promise.reject(unanswered(error, issuer)))
        .finally(() => progress.done());
      await noteAct(context, session, { what: "operator", target: `${login} is ${issuer}`, result: "done" });
    }
    const [oidc, forge] = await Promise.all([providerOf(vault, OIDC_LOGIN), providerOf(vault, CI_LOGIN)]);
    const callbacks = CALLBACK_PORTS.map(callbackAddress);
    output.line(`people  ${oidc === null ? "password only" : `${oidc.issuer}, as ${oidc.client_id}`}`);
    if (oidc !== null) output.line(`        it must know ${callbacks.join("  ")}`);
    output.line(`jobs    ${forge === null ? "none" : forge.issuer}`);
    if (forge !== null) output.line(`        their tokens are for ${audienceOf(session.fleet)}`);
    output.json({
      oidc: oidc === null ? null : { ...oidc, callbacks },
      forge: forge === null ? null : { issuer: forge.issuer, audience: audienceOf(session.fleet) },
    });
    return undefined;
  },
});

function checkedIssuer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "https:" || url.search !== "" || url.hash !== "" || url.username !== "")
    throw new FleetError("USAGE", `${text}: must be https://…, as the provider names itself (its "issuer")`);
  return text;
}

async function caOf(file: string): Promise<string> {
  const pem = await readText(file);
  if (pem === null || !pem.includes("-----BEGIN CERTIFICATE-----"))
    throw new FleetError("USAGE", `--provider-ca ${file}: there is no certificate in it`);
  return pem;
}

/** Vault says only that it did not work. */
function unanswered(error: unknown, issuer: string): unknown {
  if (!(error instanceof FleetError)) return error;
  if (error.code === "VAULT_NOT_FOUND")
    return withNext(
      error,
      "ctl vault bootstrap (or the ctl init line again) makes what this fleet's Vault lacks",
    );
  if (error.code !== "VAULT_REFUSED") return error;
  return withNext(
    new FleetError(
      "VAULT_REFUSED",
      `Vault gets no answer that fits from ${issuer}/.well-known/openid-configuration (${error.detail})`,
      { cause: error },
    ),
    `can Vault's machine reach it? does it call itself ${issuer} to the letter? --provider-ca for a CA of the firm's own`,
  );
}
