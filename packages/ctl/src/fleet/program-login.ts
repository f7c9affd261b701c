/** The log-in of a program at Vault (AppRole): a name, and the one secret that it has on disk. */
import type { Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { APPROLES, type Program } from "./vault-roles.ts";
import type { Changes } from "./vault-setup.ts";

const RoleId = z.object({ role_id: z.string() });
const SecretId = z.object({ secret_id: z.string() });

/** A secret that still works is kept. `secret_id` is a secret. */
export async function programLogin(
  vault: Vault,
  program: Program,
  held_secret: string | null,
  changes: Changes,
): Promise<{ role_id: string; secret_id: string }> {
  const path = `auth/approle/role/${APPROLES[program]}`;
  const { role_id } = await vault.read(`${path}/role-id`, RoleId);
  if (held_secret !== null) {
    const known = await vault
      .write(`${path}/secret-id/lookup`, { secret_id: held_secret })
      .catch((error: unknown) => {
        if (error instanceof FleetError && error.code.startsWith("VAULT_") && !error.retryable) return null;
        throw error;
      });
    // Vault answers an unknown secret with 204: nothing.
    if (typeof known === "object" && known !== null && "secret_id_accessor" in known)
      return { role_id, secret_id: held_secret };
  }
  const { secret_id } = await vault.write(`${path}/secret-id`, {}, SecretId);
  changes.made.push(`the log-in of ${APPROLES[program]}`);
  return { role_id, secret_id };
}
