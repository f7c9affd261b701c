/** User JWTs as nobody of the fleet makes them: any claims, signed by any key. Source: ADR-14 of github.com/nats-io/nats-architecture-and-design. */
import { createHash } from "node:crypto";
import { base32, type JwtSigner } from "@muster/protocol";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** `nats` are the claims of the user; `top` stands beside them: name, sub, exp. */
export async function forgedJwt(
  top: Readonly<Record<string, unknown>>,
  nats: Readonly<Record<string, unknown>>,
  signer: JwtSigner,
): Promise<string> {
  const body = {
    ...top,
    nats: { type: "user", version: 2, ...nats },
    iat: Math.floor(Date.now() / 1000),
    iss: signer.issuer,
  };
  const jti = base32(createHash("sha512-256").update(JSON.stringify(body)).digest());
  const text = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part({ jti, ...body })}`;
  const signature = await signer.sign(Buffer.from(text));
  return `${text}.${Buffer.from(signature).toString("base64url")}`;
}
