/** One join string for one machine, signed by the person. It works once, for a short time, from the networks given. */
import { randomBytes } from "node:crypto";
import { type JoinClaims, writeJoinString } from "@muster/protocol/join";
import { createNkey } from "@muster/protocol/nkey";
import type { Session } from "../session/session.ts";
import type { HostLogins } from "./host-logins.ts";

export type JoinWish = {
  /** null: the machine brings its own name. */
  readonly name: string | null;
  readonly groups: readonly string[];
  readonly networks: readonly string[];
  readonly not_after: number;
  /** The key that the machine takes the name from. */
  readonly replaces?: string;
};

/** `vault` null: without a token for the host's own log-in. Errors: VAULT_*. */
export async function joinString(
  session: Pick<Session, "fleet" | "profile" | "signer">,
  vault: HostLogins | null,
  what: JoinWish,
  now_ms: number,
): Promise<string> {
  const { public: key, seed } = createNkey("user");
  const claims: JoinClaims = {
    v: 1,
    fleet: session.fleet,
    anchor: session.profile.anchor,
    brokers: [...session.profile.brokers],
    id: randomBytes(16).toString("hex"),
    ...(what.name === null ? {} : { name: what.name }),
    groups: [...what.groups],
    networks: [...what.networks],
    not_after: what.not_after,
    ...(what.replaces === undefined ? {} : { replaces: what.replaces }),
    key,
  };
  // A machine that brings its own name has a controller's word for it, and that is not enough for a log-in at Vault.
  const vault_token =
    vault === null || what.name === null
      ? null
      : await vault.token(what.name, claims.id, Math.ceil((what.not_after - now_ms) / 1_000));
  return writeJoinString(claims, session.signer, now_ms, { vault_token, seed });
}
