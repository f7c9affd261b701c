/**
 * Signing with keys that never leave Vault: Transit, Ed25519.
 * API: developer.hashicorp.com/vault/api-docs/secret/transit.
 */
import { FleetError } from "@muster/protocol/errors";
import * as z from "zod";
import type { Vault } from "./vault.ts";

const Signature = z.object({ signature: z.string().regex(/^vault:v[0-9]+:[A-Za-z0-9+/]+=*$/) });
const Keys = z.object({
  type: z.string(),
  latest_version: z.int(),
  keys: z.record(z.string(), z.object({ public_key: z.string().default("") })),
});

export interface Transit {
  /** The raw 64-byte Ed25519 signature of `bytes` under the key's newest version. */
  signEd25519(key: string, bytes: Uint8Array): Promise<Uint8Array>;
  /** The raw 32 bytes of the key's newest version. `VAULT_NOT_FOUND` when there is no such key. */
  publicKey(key: string): Promise<Uint8Array>;
  /** Makes the key unless it is there; not exportable. `CONFLICT` when a key of another type has the name. */
  createKey(key: string): Promise<Uint8Array>;
}

export function transit(vault: Vault, mount = "transit"): Transit {
  const publicKey = async (key: string): Promise<Uint8Array> => {
    const data = await vault.read([mount, "keys", key], Keys);
    if (data.type !== "ed25519")
      throw new FleetError("CONFLICT", `transit key ${key} is ${data.type}, not ed25519`);
    return exactly(32, data.keys[String(data.latest_version)]?.public_key ?? "", `public key of ${key}`);
  };
  return {
    publicKey,
    async signEd25519(key, bytes) {
      const body = { input: Buffer.from(bytes).toString("base64") };
      const { signature } = await vault.write([mount, "sign", key], body, Signature, {
        repeatable: true,
      });
      return exactly(64, signature.split(":")[2] ?? "", `signature by ${key}`);
    },
    async createKey(key) {
      await vault.write([mount, "keys", key], {
        type: "ed25519",
        exportable: false,
        allow_plaintext_backup: false,
      });
      return publicKey(key);
    },
  };
}

function exactly(size_bytes: number, base64: string, what: string): Uint8Array {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length !== size_bytes) {
    throw new FleetError("INVALID", `Vault's ${what}: ${bytes.length} bytes instead of ${size_bytes}`);
  }
  return bytes;
}
