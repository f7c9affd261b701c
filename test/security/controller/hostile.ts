/**
 * A controller in hostile hands: all that it has is what lies on its disk (its configuration and the secret of its Vault log-in) and what the
 * log-in gives. It mints with the controller's own code, which nobody has to break for that.
 */

import { type Bus, type BusEvent, connectBus } from "@muster/ports/bus";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import { openVault, type Vault } from "@muster/ports/vault";
import {
  createNkey,
  type EnvelopeSigner,
  encodePublic,
  type JwtSigner,
  type Role,
  signEd25519,
  subjects,
} from "@muster/protocol";
import { Identity } from "../../../packages/controller/src/certificates/identity.ts";
import { type Issuer, vaultIssuer } from "../../../packages/controller/src/certificates/issuer.ts";
import {
  type ControllerConfig,
  readConfig,
  readSecret,
  readText,
} from "../../../packages/controller/src/config.ts";

const LIFE_MS = 600_000;

export type HostileController = {
  readonly config: ControllerConfig;
  readonly vault: Vault;
  /** The root that Vault shows in TLS, PEM. */
  readonly vault_ca: string;
  readonly issuer: Issuer;
  /** A certificate of the mount `controllers`, and its key. */
  readonly signer: EnvelopeSigner & { readonly certificate: string };
  readonly bus: Bus;
  readonly id: string;
  /** A connection of that role under a key of its own, which the controller may have minted. */
  connect(role: Role, name: string, signal: AbortSignal): Promise<{ bus: Bus; id: string }>;
  /** Dials with any JWT; the error is the broker's. */
  dial(jwt: string, key: ReturnType<typeof createNkey>, signal: AbortSignal): Promise<Bus>;
  /** A scoped key of FLEET in Transit that the controller may sign with. */
  roleSigner(role: Role): Promise<JwtSigner>;
};

/** Reads the disk and logs in everywhere. */
export async function hostileController(
  config_file: string,
  signal: AbortSignal,
  on_status: (event: BusEvent) => void = () => undefined,
): Promise<HostileController> {
  const config = await readConfig(config_file);
  const [ca_pem, broker_ca, role_id, secret_id] = await Promise.all([
    readText(config.vault.ca),
    readText(config.broker_ca),
    readText(config.vault.role_id),
    readSecret(config.vault.secret_id),
  ]);
  const server = openVault({ addresses: config.vault.addresses, ca_pem, timeout_ms: 15_000 }, signal);
  const vault = await server.loginAppRole(role_id, secret_id);
  const issuer = vaultIssuer(
    { name: config.fleet, account: config.account },
    { pki: pki(vault), transit: transit(vault), ssh: sshCa(vault) },
    Date.now,
  );
  const dial: HostileController["dial"] = (jwt, key, life) =>
    connectBus(
      {
        servers: config.brokers,
        ca_pem: broker_ca,
        name: "hostile",
        inbox_prefix: subjects.inboxPrefix(key.public),
        credentials: () => ({ jwt, sign: (nonce) => signEd25519(key.key, nonce) }),
        first_connect: "once",
        on_status,
      },
      life,
    );
  const connect: HostileController["connect"] = async (role, name, life) => {
    const key = createNkey("user");
    const { text } = await issuer.userJwt(role, { name, key: key.public, expires_ms: Date.now() + LIFE_MS });
    return { bus: await dial(text, key, life), id: key.public };
  };
  const signer = await new Identity(config.name, issuer, Date.now).signer();
  if (!("certificate" in signer)) throw new TypeError("a controller signs with a certificate");
  return {
    config,
    vault,
    vault_ca: ca_pem,
    issuer,
    signer,
    ...(await connect("controller", config.name, signal)),
    connect,
    dial,
    async roleSigner(role) {
      const name = `fleet-${role}`;
      const port = transit(vault);
      const issuer = encodePublic("account", await port.publicKey(name));
      return { issuer, sign: (data) => port.signEd25519(name, data) };
    },
  };
}
