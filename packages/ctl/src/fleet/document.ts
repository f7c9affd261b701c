/** A document in Vault's KV version 2, kept as it is wanted. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Vault } from "@muster/ports/vault";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import type { Changes } from "./vault-setup.ts";

/** Puts a document into KV version 2 unless it is there. A mount that was just made takes a second to become version 2. */
export async function ensureDocument(
  vault: Vault,
  path: string,
  data: object,
  changes: Changes,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const held = await vault.read(path, z.looseObject({ data: z.unknown() })).catch((error: unknown) => {
        if (error instanceof FleetError && error.code === "VAULT_NOT_FOUND") return null;
        throw error;
      });
      if (held !== null && canonicalize(held.data) === canonicalize(data)) return;
      await vault.write(path, { data });
      changes.made.push(path);
      return;
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "VAULT_REFUSED" || attempt >= 40) throw error;
      await sleep(250);
    }
  }
}
