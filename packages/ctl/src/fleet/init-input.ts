/** What `ctl init` was told, read and checked: the same for a fleet on this server and for one whose files go elsewhere. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { openVault, type Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { FleetName } from "@muster/protocol/names";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { newSecret, readSecret } from "../session/passphrase.ts";
import { readText } from "./disk.ts";
import { type KitFile, kitFile } from "./kit-file.ts";
import { brokerAddress, checkedNetwork } from "./networks.ts";

export type InitOptions = {
  readonly address: readonly string[];
  readonly admin: string | undefined;
  readonly name: string | undefined;
  readonly unseal: string | undefined;
  readonly vault: readonly string[];
  readonly vault_ca: string | undefined;
  readonly vault_token_file: string | undefined;
  readonly password_file: string | undefined;
  readonly kit_file: string | undefined;
  readonly controller_cidr: readonly string[];
  readonly audit_file: string | undefined;
};

/** A Vault that is the operator's own. */
export type GivenVault = {
  readonly vault: Vault;
  readonly addresses: readonly string[];
  readonly ca_pem: string;
};

export type InitInput = {
  readonly fleet: string;
  readonly addresses: readonly string[];
  readonly networks: readonly string[];
  readonly kit: KitFile;
  /** null: one is to be made here. */
  readonly given_vault: GivenVault | null;
};

/** Errors: USAGE with what is missing. */
export async function readInit(context: Context, name: string, options: InitOptions): Promise<InitInput> {
  const fleet = readWord(FleetName, name, "fleet");
  if (options.address.length === 0)
    throw new FleetError("USAGE", "--address is missing: how do servers reach the broker?");
  const kit_path = resolve(context.cwd, options.kit_file ?? join(homedir(), `${fleet}.kit`));
  return {
    fleet,
    addresses: [...new Set(options.address.map(brokerAddress))],
    networks: options.controller_cidr.map(checkedNetwork),
    kit: kitFile(kit_path, fleet, (first) =>
      (first ? newSecret : readSecret)(
        context,
        context.global.passphrase_file,
        first ? `passphrase for the recovery kit (it becomes ${kit_path})` : `passphrase of ${kit_path}`,
      ),
    ),
    given_vault: options.vault.length === 0 ? null : await givenVault(context, options),
  };
}

/** Errors: USAGE for a file that is missing, CONFIG for an address that is none. */
export async function givenVault(
  context: Context,
  options: Pick<InitOptions, "vault" | "vault_ca" | "vault_token_file">,
): Promise<GivenVault> {
  const ca_pem = await required(context, options.vault_ca, "--vault-ca");
  const token = (await required(context, options.vault_token_file, "--vault-token-file")).trim();
  const addresses = options.vault;
  const vault = openVault({ addresses, ca_pem, timeout_ms: 30_000 }, context.asking).withToken(token);
  return { vault, addresses: addresses.map((url) => new URL(url).origin), ca_pem };
}

async function required(context: Context, path: string | undefined, option: string): Promise<string> {
  if (path === undefined) throw new FleetError("USAGE", `--vault needs ${option} too`);
  const text = await readText(resolve(context.cwd, path));
  if (text === null) throw new FleetError("USAGE", `${option} ${path}: there is no such file`);
  return text;
}
