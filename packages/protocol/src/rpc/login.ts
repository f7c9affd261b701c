/**
 * RPC `login`: how a host that came without one gets its own log-in at Vault. It shows its curve key, proved by the key that `hosts.lock` pins; a person's
 * `ctl` seals a one-use token to it, which neither broker nor controller can read.
 */
import { verify } from "node:crypto";
import { z } from "zod";
import { FleetError } from "../errors.ts";
import { HostId, Instant } from "../names.ts";
import { decodePublic, type Nkey, publicKeyObject, signEd25519 } from "../nkey.ts";
import { method } from "./method.ts";

const CurveKey = z.string().regex(/^X[A-Z2-7]{55}$/, "must be a public curve nkey");

/** What is sealed. `token` is a secret: wrapped, for the certificate of `instance`, until then. */
export const LoginToken = z.strictObject({
  token: z.string().max(512),
  instance: z.string().max(64),
  until: Instant,
});
export type LoginToken = z.infer<typeof LoginToken>;

export const login = method({
  what: "Show the host's curve key and how its log-in at Vault stands; with a sealed token, get a new one.",
  authority: "operator",
  timeout_ms: 10_000,
  request: z.strictObject({
    sealed: z
      .strictObject({
        from: CurveKey.describe("Who sealed it."),
        box: z.base64().max(4_096).describe("What is sealed."),
      })
      .optional()
      .describe("A token for it, sealed to the host's curve key."),
  }),
  reply: z.object({
    curve: CurveKey.describe("The host's public curve key."),
    proof: z.base64().max(256).describe("Its signature by the host's own key."),
    until: Instant.nullable().describe("When its log-in at Vault ends; null = it has none."),
    pending: z.boolean().describe("It has a token and has not used it yet."),
  }),
});

const proofOf = (id: string, curve: string) => Buffer.from(`muster curve key 1\n${id}\n${curve}`);

/** The host's word that the curve key is its own. */
export const proveCurve = (nkey: Nkey, curve: string): string =>
  signEd25519(nkey.key, proofOf(nkey.public, curve)).toString("base64");

/** Errors: BAD_PROOF when the key of `id` did not say so. */
export function checkCurve(id: z.infer<typeof HostId>, curve: string, proof: string): void {
  const key = publicKeyObject(decodePublic("user", HostId.parse(id)));
  if (!verify(null, proofOf(id, curve), key, Buffer.from(proof, "base64")))
    throw new FleetError("BAD_PROOF", "the curve key is not signed by the host's own key");
}
