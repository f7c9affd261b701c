/**
 * Signing with keys that never leave Vault: Transit, Ed25519. Signatures by one key that are wanted while it is being asked go into one request: each
 * request costs Vault and us a millisecond, whatever is in it.
 * API: developer.hashicorp.com/vault/api-docs/secret/transit.
 */
import { FleetError } from "@muster/protocol/errors";
import * as z from "zod";
import type { Vault } from "./vault.ts";

const Signature = z.object({ signature: z.string().regex(/^vault:v[0-9]+:[A-Za-z0-9+/]+=*$/) });
const Signatures = z.object({ batch_results: z.array(Signature) });
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

/** How many signatures one request asks for at most. */
const BATCH = 64;

type Wanted = {
  readonly input: string;
  readonly done: (signature: string) => void;
  readonly failed: (error: unknown) => void;
};

export function transit(vault: Vault, mount = "transit"): Transit {
  const queues = new Map<string, Wanted[]>();
  const sign = async (key: string, inputs: readonly string[]): Promise<string[]> => {
    const path = [mount, "sign", key];
    const [input] = inputs;
    if (inputs.length === 1) {
      const { signature } = await vault.write(path, { input }, Signature, { repeatable: true });
      return [signature];
    }
    const body = { batch_input: inputs.map((each) => ({ input: each })) };
    const { batch_results } = await vault.write(path, body, Signatures, { repeatable: true });
    if (batch_results.length !== inputs.length)
      throw new FleetError("INVALID", `Vault gave ${batch_results.length} signatures for ${inputs.length}`);
    return batch_results.map(({ signature }) => signature);
  };
  /** Asks until nobody waits; what comes meanwhile goes together. */
  const drain = async (key: string, queue: Wanted[]): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.splice(0, BATCH);
      try {
        const signatures = await sign(
          key,
          batch.map(({ input }) => input),
        );
        for (const [at, { done }] of batch.entries()) done(signatures[at] ?? "");
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    queues.delete(key);
  };
  const publicKey = async (key: string): Promise<Uint8Array> => {
    const data = await vault.read([mount, "keys", key], Keys);
    if (data.type !== "ed25519")
      throw new FleetError("CONFLICT", `transit key ${key} is ${data.type}, not ed25519`);
    return exactly(32, data.keys[String(data.latest_version)]?.public_key ?? "", `public key of ${key}`);
  };
  return {
    publicKey,
    async signEd25519(key, bytes) {
      const input = Buffer.from(bytes).toString("base64");
      const signature = await new Promise<string>((done, failed) => {
        const wanted = { input, done, failed };
        const queue = queues.get(key);
        if (queue !== undefined) return void queue.push(wanted);
        const begun = [wanted];
        queues.set(key, begun);
        void drain(key, begun);
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
