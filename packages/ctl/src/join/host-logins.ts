/**
 * What a person does at Vault for a host's own log-in: says which host an instance is, and has a one-use token made that can have one
 * certificate signed for exactly that instance. What Vault holds for it is in `fleet/vault-hosts.ts`.
 */
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { HOST_VAULT } from "@muster/protocol/host-vault";
import { HostName } from "@muster/protocol/names";
import { z } from "zod";

const Auth = z.record(z.string(), z.looseObject({ accessor: z.string().optional() }));
const Wrapped = z.object({ wrap_info: z.object({ token: z.string() }) });
const Aliases = z.object({
  key_info: z
    .record(
      z.string(),
      z.looseObject({
        canonical_id: z.string(),
        mount_accessor: z.string(),
        name: z.string(),
        custom_metadata: z.record(z.string(), z.string()).nullish(),
      }),
    )
    .default({}),
});

export type HostLogins = {
  /**
   * A wrapped token for the log-in of `host`, good for `ttl_s`; `instance` is the id of its join string.
   * Errors: VAULT_DENIED below operator, VAULT_NOT_FOUND for a fleet that was made before hosts had log-ins.
   */
  token(host: string, instance: string, ttl_s: number): Promise<string>;
};

/** What Vault calls the hosts' log-in. */
async function accessorOf(vault: Vault): Promise<string> {
  const accessor = (await vault.read("sys/auth", Auth))["cert/"]?.accessor;
  if (accessor === undefined)
    throw new FleetError("VAULT_NOT_FOUND", "auth/cert, for the hosts' own log-ins: ctl vault bootstrap");
  return accessor;
}

export async function hostLogins(vault: Vault): Promise<HostLogins> {
  const cert = await accessorOf(vault);
  return {
    async token(host, instance, ttl_s) {
      await vault.write("identity/entity-alias", {
        name: instance,
        mount_accessor: cert,
        custom_metadata: { host: HostName.parse(host) },
      });
      const { wrap_info } = await vault.write(
        HOST_VAULT.join_token_path,
        { entity_alias: instance, ttl: `${ttl_s}s` },
        Wrapped,
        { wrap_ttl_s: ttl_s },
      );
      return wrap_info.token;
    },
  };
}

/** Gives a host's log-ins at Vault another name to go by. Returns how many there were under the old one. Errors: VAULT_DENIED below admin. */
export async function renameLogins(vault: Vault, from: string, to: string): Promise<number> {
  const cert = await accessorOf(vault);
  const logins = await loginsOf(vault, cert, from);
  await Promise.all(
    logins.map(({ name }) =>
      vault.write("identity/entity-alias", {
        name,
        mount_accessor: cert,
        custom_metadata: { host: HostName.parse(to) },
      }),
    ),
  );
  return logins.length;
}

/** Every log-in that was made for a host of that name. */
async function loginsOf(vault: Vault, cert: string, host: string) {
  const { key_info } = await vault.listing("identity/entity-alias/id", Aliases);
  return Object.values(key_info).filter(
    (alias) => alias.mount_accessor === cert && alias.custom_metadata?.host === host,
  );
}

/**
 * Cuts a host off at Vault, whatever certificates it holds: every instance of that name, but for `keep`. Log-ins are refused and tokens end at once.
 * Returns how many were. Errors: VAULT_DENIED below admin.
 */
export async function cutOff(vault: Vault, host: string, keep: string | null = null): Promise<number> {
  const logins = await loginsOf(vault, await accessorOf(vault), host);
  const entities = logins.filter((alias) => alias.name !== keep);
  await Promise.all(
    entities.map(({ canonical_id }) =>
      vault.write(["identity", "entity", "id", canonical_id], { disabled: true }),
    ),
  );
  return entities.length;
}
