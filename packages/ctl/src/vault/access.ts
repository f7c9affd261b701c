/** Whose Vault a command is about, and with what token: one that its owner gave, or the log-in of an admin of the fleet. */
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { FleetName } from "@muster/protocol/names";
import { fleetOfFolder } from "../fleet/folder.ts";
import { givenVault } from "../fleet/init-input.ts";
import type { OptionSpecs } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { openSession } from "../session/session.ts";

export const ACCESS_OPTIONS = {
  vault: {
    flag: "--vault <url>",
    help: "each server of it, https://HOST:PORT; may be repeated. Without it the fleet's, with your log-in",
    many: true,
  },
  vault_ca: { flag: "--vault-ca <file>", help: "the CA of its TLS certificates, PEM" },
  vault_token_file: {
    flag: "--vault-token-file <file>",
    help: "a token with the policy that ctl vault policies prints",
  },
} as const satisfies OptionSpecs;

export type AccessOptions = {
  readonly vault: readonly string[];
  readonly vault_ca: string | undefined;
  readonly vault_token_file: string | undefined;
};

export type VaultAccess = {
  readonly fleet: string;
  /** Who asks, as the first line says it. */
  readonly person: string;
  readonly vault: Vault;
  /** `https://host:port` */
  readonly addresses: readonly string[];
  readonly ca_pem: string;
};

/** Errors: USAGE with what is missing, NOT_LOGGED_IN, NOT_ALLOWED below admin. */
export async function vaultAccess(
  context: Context,
  fleet: string | undefined,
  options: AccessOptions,
): Promise<VaultAccess> {
  if (options.vault.length > 0) {
    const named = fleet ?? context.global.fleet ?? (await fleetOfFolder(context.cwd));
    if (named === null) throw new FleetError("USAGE", "which fleet? say its name, or go into its folder");
    const name = readWord(FleetName, named, "fleet");
    return { fleet: name, person: "the token's owner", ...(await givenVault(context, options)) };
  }
  const session = await openSession(context, { rank: "admin" });
  const { vault: addresses, vault_ca } = session.bundle;
  return {
    fleet: session.fleet,
    person: session.person,
    vault: await session.vault(),
    addresses,
    ca_pem: vault_ca.join(""),
  };
}
