/**
 * The string that `ctl operator invite` prints for somebody who is to look on: `mi1.<claims in base64url>.<wrapped Vault token>`. The claims say where the
 * fleet is and prove it by the anchor; what the person may is in the certificate that the token can have signed, once.
 */
import { z } from "zod";
import { FleetError, parseJson } from "./errors.ts";
import { FleetName, GroupName, Instant, PersonName } from "./names.ts";

/** What belongs to invitations at Vault. */
export const GUEST_VAULT = {
  /** Role of the mount `operators`. */
  role: "guest",
  token_role: "muster-guest",
  /** As the path under which a wrapped token says that it was made. */
  token_path: "auth/token/create/muster-guest",
  /** An entity's alias at the token log-in: this and the person's name. */
  alias: "guest-",
  /** Of the person's entity: a grant as text. */
  metadata: "muster_guest",
} as const;

/** What an invited person may see: the hosts of these groups (null = all), until then. */
export type Grant = { readonly groups: readonly string[] | null; readonly ends: number };

/** Names of groups have no dot and no colon. `all` is every host, as in an inventory. */
export const grantText = ({ groups, ends }: Grant) => `${ends}:${groups === null ? "all" : groups.join(".")}`;

/** Reads what `grantText` wrote; null for anything else. */
export function readGrant(text: string): Grant | null {
  const [, ends, names] = /^(\d{1,16}):([A-Za-z0-9_.-]{1,2000})$/.exec(text) ?? [];
  if (ends === undefined || names === undefined) return null;
  const groups = names.split(".");
  if (groups.some((group) => !GroupName.safeParse(group).success)) return null;
  return { ends: Number(ends), groups: names === "all" ? null : groups };
}

export const Invitation = z.strictObject({
  v: z.literal(1),
  fleet: FleetName,
  anchor: z.string().max(64),
  brokers: z.array(z.string().max(270)).min(1).max(16),
  name: PersonName,
  groups: z.array(GroupName).min(1).max(32).nullable(),
  ends: Instant.describe("When what it gives ends."),
  use_by: Instant.describe("Until when it can be used, once."),
});
export type Invitation = z.infer<typeof Invitation>;

export const isInvitation = (text: string) => text.trim().startsWith("mi1.");

export function writeInvitation(invitation: Invitation, token: string): string {
  return `mi1.${Buffer.from(JSON.stringify(invitation)).toString("base64url")}.${token}`;
}

/** Errors: USAGE for what is no invitation. */
export function readInvitation(text: string): { invitation: Invitation; token: string } {
  const [version, claims, ...token] = text.trim().split(".");
  if (version !== "mi1" || claims === undefined || token.length === 0)
    throw new FleetError("USAGE", "an invitation begins with mi1. and has three parts: it was cut off");
  const invitation = parseJson(Invitation, Buffer.from(claims, "base64url"), "invitation");
  return { invitation, token: token.join(".") };
}
