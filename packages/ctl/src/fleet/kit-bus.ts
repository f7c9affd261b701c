/**
 * What the recovery kit does at a broker without Vault: it holds the keys of the accounts themselves, which Vault's keys stand in for day by day. A connection
 * lives for one command, and has the rights that the same step has by way of Vault.
 */
import { type Bus, connectBus } from "@muster/ports/bus";
import { type JwtSigner, memorySigner, ownUserJwt } from "@muster/protocol/jwt";
import { createNkey, nkeyFromSeed, signEd25519 } from "@muster/protocol/nkey";
import { SETUP_PERMISSIONS, SYSTEM_PERMISSIONS, subjects } from "@muster/protocol/subjects";
import type { Profile } from "../session/profile.ts";
import type { Kit } from "./kit.ts";

const ACCESS_MS = 600_000;
const RIGHTS = { system: SYSTEM_PERMISSIONS, fleet: SETUP_PERMISSIONS } as const;

export type KitSeeds = Pick<Kit["seeds"], "operator" | "system" | "fleet">;

/** Signs accounts as the operator itself. */
export const operatorOf = (seeds: KitSeeds): JwtSigner => memorySigner(nkeyFromSeed(seeds.operator));

export const accountOf = (seeds: KitSeeds): string => nkeyFromSeed(seeds.fleet).public;

/** An admin's connection in account SYS, or in FLEET one with the rights of `ctl init`. Errors: BUS_UNREACHABLE, NOT_LOGGED_IN. */
export async function connectByKit(
  seeds: KitSeeds,
  account: keyof typeof RIGHTS,
  { brokers, broker_ca }: Pick<Profile, "brokers" | "broker_ca">,
  now_ms: number,
  signal: AbortSignal,
): Promise<Bus> {
  const nkey = createNkey("user");
  const user = {
    name: "kit",
    key: nkey.public,
    permissions: RIGHTS[account],
    expires_ms: now_ms + ACCESS_MS,
  };
  const jwt = await ownUserJwt(user, memorySigner(nkeyFromSeed(seeds[account])), now_ms);
  return connectBus(
    {
      servers: brokers,
      ca_pem: broker_ca,
      name: "ctl kit",
      inbox_prefix: subjects.inboxPrefix(nkey.public),
      credentials: () => ({ jwt, sign: (nonce) => signEd25519(nkey.key, nonce) }),
      first_connect: "once",
      connect_timeout_ms: 3_000,
    },
    signal,
  );
}
