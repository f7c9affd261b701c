/** Inviting somebody to look on: what an admin does at Vault for it, and what the invited one's own machine does with the token. */
import { createPrivateKey } from "node:crypto";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import type { Vault } from "@muster/ports/vault";
import type { EnvelopeSigner } from "@muster/protocol/envelope";
import { FleetError } from "@muster/protocol/errors";
import { type Grant, GUEST_VAULT, grantText, type Invitation } from "@muster/protocol/invite";
import { z } from "zod";
import { derOf } from "../session/stored.ts";
import { findPerson } from "./people.ts";

const Auth = z.record(z.string(), z.looseObject({ accessor: z.string().optional() }));
const Entity = z.object({ id: z.string() });
const Wrapped = z.object({ wrap_info: z.object({ token: z.string() }) });
const Lookup = z.object({ creation_path: z.string() });
const Unwrapped = z.object({ auth: z.object({ client_token: z.string() }) });

/**
 * Writes down what the person may see, and has a token made that can have one certificate signed for that. An invitation from before that was not used yet
 * gives what this one says. Errors: CONFLICT for somebody with a log-in, VAULT_DENIED below admin, VAULT_NOT_FOUND in a fleet older than invitations.
 */
export async function inviteAtVault(
  vault: Vault,
  name: string,
  grant: Grant,
  ttl_s: number,
): Promise<string> {
  const known = await findPerson(vault, name);
  if (known !== null && known.guest === null)
    throw new FleetError(
      "CONFLICT",
      `${name} has a log-in as ${known.rank}: an invitation is for somebody without one`,
    );
  const path = ["identity", "entity", "name", name];
  await vault.write(path, { metadata: { [GUEST_VAULT.metadata]: grantText(grant) }, disabled: false });
  const [{ id }, auth] = await Promise.all([vault.read(path, Entity), vault.read("sys/auth", Auth)]);
  const mount_accessor = auth["token/"]?.accessor;
  if (mount_accessor === undefined) throw new FleetError("VAULT_NOT_FOUND", "auth/token");
  const alias = `${GUEST_VAULT.alias}${name}`;
  await vault.write("identity/entity-alias", { name: alias, mount_accessor, canonical_id: id });
  const order = { entity_alias: alias, ttl: `${ttl_s}s` };
  const { wrap_info } = await vault.write(GUEST_VAULT.token_path, order, Wrapped, { wrap_ttl_s: ttl_s });
  return wrap_info.token;
}

export type GuestPaper = {
  readonly certificate_pem: string;
  readonly key_pem: string;
  readonly signer: EnvelopeSigner;
};

/** Makes a key here and has its certificate signed, which uses the invitation up. Errors: JOIN_USED, VAULT_*. */
export async function takeInvitation(
  vault: Vault,
  invitation: Invitation,
  token: string,
  now_ms: number,
): Promise<GuestPaper> {
  const guest = await unwrapped(vault, token);
  const { private_pem } = makeKey("ed25519");
  const csr = await makeCsr(private_pem, { common_name: invitation.name });
  const { certificate_pem } = await pki(guest).signCsr("operators", GUEST_VAULT.role, csr, {
    common_name: invitation.name,
    uri_sans: [`muster:guest:${grantText(invitation)}`],
    ttl_s: Math.max(60, Math.ceil((invitation.ends - now_ms) / 1_000)),
  });
  return {
    certificate_pem,
    key_pem: private_pem,
    signer: { certificate: derOf(certificate_pem), key: createPrivateKey(private_pem) },
  };
}

/** The token inside, if an invitation was wrapped and nothing else: whoever unwrapped it on the way could wrap another in its place. */
async function unwrapped(vault: Vault, token: string): Promise<Vault> {
  try {
    const { creation_path } = await vault.write("sys/wrapping/lookup", { token }, Lookup);
    if (creation_path !== GUEST_VAULT.token_path)
      throw new FleetError(
        "JOIN_FORGED",
        `its Vault token was made at ${creation_path}, not by ctl operator invite`,
      );
    const { auth } = await vault.withToken(token).write("sys/wrapping/unwrap", {}, Unwrapped);
    return vault.withToken(auth.client_token);
  } catch (cause) {
    const gone = cause instanceof FleetError && ["VAULT_REFUSED", "VAULT_DENIED"].includes(cause.code);
    if (!gone) throw cause;
    throw new FleetError(
      "JOIN_USED",
      "the invitation has lapsed, or was used: if not by you, tell who sent it",
      {
        cause,
      },
    );
  }
}
