/** Secrets of alert routes, from the one part of Vault that controllers may read: `kv/alerts/`. They stay in memory for a minute, so that a new one is used soon. */
import type { Vault } from "@muster/ports/vault";
import { AlertSecret } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";

const KEPT_MS = 60_000;
const KEPT = 64;

/** What `kv` answers, version 2 of the secrets engine: developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2. */
const Answer = z.object({ data: z.record(z.string(), z.unknown()) });

/** Reads `vault:kv/alerts/NAME#FIELD`. Errors: those of Vault, NOT_FOUND naming the field, INVALID. */
export function alertSecrets(
  vault: Pick<Vault, "read"> | null,
  now: () => number,
): (reference: string) => Promise<string> {
  const kept = new Map<string, { value: string; until: number }>();
  return async (reference) => {
    if (vault === null) throw new FleetError("UNSUPPORTED", "this controller has no Vault");
    if (!AlertSecret.safeParse(reference).success)
      throw new FleetError("INVALID", "controllers read secrets of kv/alerts only");
    const held = kept.get(reference);
    if (held !== undefined && held.until > now()) return held.value;
    const [path = "", field = ""] = reference.slice("vault:kv/alerts/".length).split("#");
    const { data } = await vault.read(["kv", "data", "alerts", path], Answer);
    const value = data[field];
    if (typeof value !== "string" || value === "")
      throw new FleetError("NOT_FOUND", `kv/alerts/${path} in Vault has no field ${field}`);
    if (kept.size >= KEPT) kept.clear();
    kept.set(reference, { value, until: now() + KEPT_MS });
    return value;
  };
}
