/** One join string for one machine, signed by the person. It names no secret but works once, for a short time, from the networks given. */
import { randomBytes } from "node:crypto";
import { type JoinClaims, writeJoinString } from "@muster/protocol/join";
import type { Session } from "../session/session.ts";

export type JoinWish = {
  /** null: the machine brings its own name. */
  readonly name: string | null;
  readonly groups: readonly string[];
  readonly networks: readonly string[];
  readonly not_after: number;
};

export function joinString(
  session: Pick<Session, "fleet" | "profile" | "signer">,
  what: JoinWish,
  now_ms: number,
): string {
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
  };
  return writeJoinString(claims, session.signer, now_ms);
}
