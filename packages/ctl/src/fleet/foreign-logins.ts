/**
 * Who logs in by the word of an identity provider or a forge, at Vault: written, taken away, told. What such a log-in is made of stands in vault-logins.ts.
 */

import type { Vault } from "@muster/ports/vault";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { bindLogin } from "./people.ts";
import { CI_LOGIN, type ForeignLogin, type ForeignWay, OIDC_LOGIN, roleOf } from "./vault-logins.ts";

const Role = z.looseObject({
  user_claim: z.string(),
  bound_claims: z.record(z.string(), z.unknown()).nullish(),
});
const Config = z.looseObject({
  oidc_discovery_url: z.string().default(""),
  oidc_client_id: z.string().default(""),
});

/** The answer, or null where Vault has nothing there; some versions say so with 400. */
async function absent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof FleetError && (error.code === "VAULT_NOT_FOUND" || error.code === "VAULT_REFUSED"))
      return null;
    throw error;
  }
}

const roleAt = (login: ForeignLogin, name: string) => ["auth", login, "role", name];

/**
 * Lets the person or job in by that way from now on; a way from before ends. True when something changed.
 * Errors: CONFLICT when the claim is somebody else, VAULT_NOT_FOUND in a fleet that has no such log-ins yet.
 */
export async function putForeignLogin(vault: Vault, name: string, way: ForeignWay): Promise<boolean> {
  if (!/\w$/.test(name))
    throw new FleetError(
      "USAGE",
      `${name}: Vault takes no such name at ${way.login}; let it end in a letter or a digit`,
    );
  // The name first: who came in before it was theirs would be a stranger to Vault, and stay one.
  const bound = await bindLogin(vault, name, way.login, way.claims[0][1]);
  const wanted = roleOf(way);
  const held = await absent(vault.read(roleAt(way.login, name), Role));
  const same = ({ user_claim, bound_claims }: { user_claim?: unknown; bound_claims?: unknown }) =>
    canonicalize({ user_claim, bound_claims });
  if (held !== null && same(held) === same(wanted)) return bound;
  await vault.write(roleAt(way.login, name), wanted);
  return true;
}

/** True when there was one. */
export async function dropForeignLogin(vault: Vault, login: ForeignLogin, name: string): Promise<boolean> {
  if ((await absent(vault.read(roleAt(login, name), Role))) === null) return false;
  await vault.remove(roleAt(login, name));
  return true;
}

/** Whether they come in that way. In a fleet whose admins may not look (older than this), nobody does. */
export async function hasForeignLogin(vault: Vault, login: ForeignLogin, name: string): Promise<boolean> {
  try {
    return (await absent(vault.read(roleAt(login, name), Role))) !== null;
  } catch (error) {
    if (error instanceof FleetError && error.code === "VAULT_DENIED") return false;
    throw error;
  }
}

/** By what each person and job logs in: name → `password`, `oidc email=bob@example.org`, `forge project_path=ops/fleet ref=main`. Errors: VAULT_DENIED in an older fleet. */
export async function loginsOf(vault: Vault): Promise<ReadonlyMap<string, readonly string[]>> {
  const told = new Map<string, string[]>();
  const tell = (name: string, text: string) => told.set(name, [...(told.get(name) ?? []), text]);
  const [passwords, ...foreign] = await Promise.all([
    vault.list("auth/userpass/users"),
    ...([OIDC_LOGIN, CI_LOGIN] as const).map(async (login) => {
      const names = await vault.list(["auth", login, "role"]);
      return Promise.all(
        names.map(async (name) => ({
          name,
          login,
          role: await absent(vault.read(roleAt(login, name), Role)),
        })),
      );
    }),
  ]);
  for (const name of passwords) tell(name, "password");
  for (const { name, login, role } of foreign.flat()) {
    if (role === null) continue;
    const rest = Object.entries(role.bound_claims ?? {}).filter(([claim]) => claim !== role.user_claim);
    const claims = [[role.user_claim, role.bound_claims?.[role.user_claim]], ...rest.sort()];
    const text = claims.map(([claim, value]) => `${claim}=${[value].flat().join("|")}`).join(" ");
    tell(name, `${login === OIDC_LOGIN ? "oidc" : "forge"} ${text}`);
  }
  return told;
}

export type Provider = {
  /** Its address, as its tokens say it (`iss`). */
  readonly issuer: string;
  /** PEM; null: what Vault's own machine believes. */
  readonly ca_pem: string | null;
  /** How Vault is known there; null for a forge. */
  readonly client: { readonly id: string; readonly secret: string } | null;
};

/** Which provider people log in at, or which forge. Vault asks it at once. Errors: VAULT_REFUSED when that does not answer. */
export async function setProvider(vault: Vault, login: ForeignLogin, provider: Provider): Promise<void> {
  await vault.write(["auth", login, "config"], {
    oidc_discovery_url: provider.issuer,
    ...(provider.ca_pem === null ? {} : { oidc_discovery_ca_pem: provider.ca_pem }),
    ...(provider.client === null
      ? { bound_issuer: provider.issuer }
      : {
          oidc_client_id: provider.client.id,
          oidc_client_secret: provider.client.secret,
          jwt_supported_algs: "RS256,ES256,EdDSA,PS256,RS384,RS512,ES384",
        }),
  });
}

/** What is set, without the secret; null where nothing is. */
export async function providerOf(
  vault: Vault,
  login: ForeignLogin,
): Promise<{ issuer: string; client_id: string | null } | null> {
  const held = await absent(vault.read(["auth", login, "config"], Config));
  if (held === null || held.oidc_discovery_url === "") return null;
  return { issuer: held.oidc_discovery_url, client_id: held.oidc_client_id || null };
}
