/**
 * Who this controller is: an nkey with a bus JWT, and a certificate to sign commands with. Both keys live in memory only, both papers for a
 * day; they are renewed at three quarters of that, and an older one serves as long as it is valid when Vault is away.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { BusCredentials } from "@muster/ports/bus";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { createNkey, type EnvelopeSigner, type Nkey, signEd25519 } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { type Issued, type Issuer, LIFE_MS } from "./issuer.ts";

const RENEW_BEFORE_MS = LIFE_MS.controller / 4;

export class Identity {
  readonly #nkey: Nkey;
  readonly #name: string;
  readonly #issuer: Issuer;
  readonly #now: () => number;
  #jwt: Issued | undefined;
  #signer: { signer: EnvelopeSigner; not_after: number } | undefined;

  constructor(name: string, issuer: Issuer, now: () => number, nkey: Nkey = createNkey("user")) {
    this.#name = name;
    this.#issuer = issuer;
    this.#now = now;
    this.#nkey = nkey;
  }

  /** The public nkey: its place on the bus. */
  get id(): string {
    return this.#nkey.public;
  }

  /** Asked before every dial. Errors: VAULT_* when there is no valid JWT and none to be had. */
  async busCredentials(): Promise<BusCredentials> {
    const jwt = await this.#fresh(this.#jwt, () =>
      this.#issuer.userJwt("controller", {
        name: this.#name,
        key: this.#nkey.public,
        expires_ms: this.#now() + LIFE_MS.controller,
      }),
    );
    this.#jwt = jwt;
    return { jwt: jwt.text, sign: (nonce) => signEd25519(this.#nkey.key, nonce) };
  }

  /** When the bus JWT should be replaced by dialling again, milliseconds since 1970. */
  get renew_at(): number {
    return (this.#jwt?.not_after ?? 0) - RENEW_BEFORE_MS;
  }

  /** What commands are signed with. Errors: VAULT_* when there is no valid certificate and none to be had. */
  async signer(): Promise<EnvelopeSigner> {
    this.#signer = await this.#fresh(this.#signer, async () => {
      const key = makeKey("ed25519");
      const csr = await makeCsr(key.private_pem, { common_name: this.#name });
      const { text, not_after } = await this.#issuer.controllerCertificate(this.#name, csr);
      const certificate = new X509Certificate(text).raw.toString("base64");
      return { signer: { certificate, key: createPrivateKey(key.private_pem) }, not_after };
    });
    return this.#signer.signer;
  }

  async #fresh<T extends { not_after: number }>(held: T | undefined, make: () => Promise<T>): Promise<T> {
    if (held !== undefined && held.not_after - RENEW_BEFORE_MS > this.#now()) return held;
    try {
      return await make();
    } catch (error) {
      if (error instanceof FleetError && held !== undefined && held.not_after > this.#now()) return held;
      throw error;
    }
  }
}
