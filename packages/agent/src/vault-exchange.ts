/**
 * What a host does at Vault under its own name: has its first identity certificate signed by the token of its join string, and later, logged in by that
 * certificate, the next ones and those of its service and of sshd. Keys are made here and named in no request. Runs in a process of its own
 * (`own-login.ts`): what it loads takes 35 MiB that a daemon would not give back.
 */
import { makeCsr, makeKey } from "@muster/ports/csr";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { openVault, type Vault } from "@muster/ports/vault";
import type { Credentials } from "@muster/protocol/enrolment";
import { FleetError } from "@muster/protocol/errors";
import { HOST_VAULT, HostLogin } from "@muster/protocol/host-vault";
import { HostName } from "@muster/protocol/names";
import { z } from "zod";

const TIMEOUT_MS = 10_000;

export const ExchangeOrder = z.strictObject({
  addresses: z.array(z.url()).min(1),
  ca_pem: z.string(),
  fleet: z.string(),
  host: HostName,
  by: z.union([HostLogin, z.strictObject({ token: z.string(), instance: z.string().max(64) })]),
  identity: z.boolean(),
  service_key_pem: z.string().nullable(),
  ssh_public_key: z.string().nullable(),
});
export type ExchangeOrder = z.infer<typeof ExchangeOrder>;

/** What was asked for; whoever keeps it checks it. */
export type Exchanged = Partial<Pick<Credentials, "service_certificate" | "ssh_certificate">> & {
  readonly identity?: HostLogin;
};

const Lookup = z.object({ creation_path: z.string() });
const Unwrapped = z.object({ auth: z.object({ client_token: z.string() }) });

/** Errors: VAULT_*; JOIN_FORGED for a token that was exchanged or used under way. */
export async function exchange(order: ExchangeOrder, signal: AbortSignal): Promise<Exchanged> {
  const server = { addresses: order.addresses, ca_pem: order.ca_pem, timeout_ms: TIMEOUT_MS };
  if ("token" in order.by) {
    const vault = await unwrapped(openVault(server, signal), order.by.token);
    return { identity: await signIdentity(vault, HOST_VAULT.join_role, order.by.instance) };
  }
  const { instance, key_pem, certificate } = order.by;
  const client = { certificate_pem: certificate, key_pem };
  const vault = await openVault({ ...server, client }, signal).loginCert(HOST_VAULT.login_role);
  const names = [order.host, `${order.host}.${order.fleet}`];
  const [identity, service, ssh] = await Promise.all([
    order.identity ? signIdentity(vault, HOST_VAULT.own_role, instance) : undefined,
    order.service_key_pem === null ? undefined : signService(vault, order.service_key_pem, names),
    order.ssh_public_key === null
      ? undefined
      : sshCa(vault).signHostKey(HOST_VAULT.ssh, HOST_VAULT.own_role, order.ssh_public_key, names),
  ]);
  return {
    ...(identity && { identity }),
    ...(service && { service_certificate: service }),
    ...(ssh && { ssh_certificate: ssh }),
  };
}

/** The token inside, if the wrapping is what `ctl join` made: whoever unwrapped it on the way could wrap another in its place. */
async function unwrapped(vault: Vault, token: string): Promise<Vault> {
  try {
    const { creation_path } = await vault.write("sys/wrapping/lookup", { token }, Lookup);
    if (creation_path !== HOST_VAULT.join_token_path)
      throw new FleetError("JOIN_FORGED", `its Vault token was made at ${creation_path}, not by ctl join`);
    const { auth } = await vault.withToken(token).write("sys/wrapping/unwrap", {}, Unwrapped);
    return vault.withToken(auth.client_token);
  } catch (cause) {
    const gone =
      cause instanceof FleetError && (cause.code === "VAULT_REFUSED" || cause.code === "VAULT_DENIED");
    if (!gone) throw cause;
    throw new FleetError("JOIN_FORGED", "its Vault token has lapsed, or somebody used it before this host", {
      cause,
    });
  }
}

async function signIdentity(vault: Vault, role: string, instance: string): Promise<HostLogin> {
  const { private_pem } = makeKey("p256");
  const csr = await makeCsr(private_pem, { common_name: instance });
  const signed = await pki(vault).signCsr(HOST_VAULT.identity, role, csr, { common_name: instance });
  return { instance, key_pem: private_pem, certificate: signed.certificate_pem };
}

async function signService(vault: Vault, key_pem: string, names: readonly string[]): Promise<string> {
  const [common_name = ""] = names;
  const csr = await makeCsr(key_pem, { common_name });
  const options = { common_name, alt_names: names };
  const signed = await pki(vault).signCsr(HOST_VAULT.services, HOST_VAULT.own_role, csr, options);
  return `${[signed.certificate_pem, ...signed.ca_chain].map((pem) => pem.trim()).join("\n")}\n`;
}
