/** A test fleet whose keys and certificates are a real Vault's, set up as `ctl init` does it: for what needs both. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openVault, type Vault } from "@muster/ports/vault";
import { encodePublic, ROLES, type Role, type TrustBundle } from "@muster/protocol";
import type { ControllerConfig } from "../../packages/controller/src/index.ts";
import { putPerson } from "../../packages/ctl/src/fleet/people.ts";
import { programLogin } from "../../packages/ctl/src/fleet/program-login.ts";
import { setUpVault } from "../../packages/ctl/src/fleet/vault-setup.ts";
import type { PersonRank } from "../../packages/ctl/src/session/ranks.ts";
import { startFleet, type TestFleet } from "./fleet.ts";
import { startVault, type VaultServer } from "./vault.ts";

export type VaultFleet = {
  readonly fleet: TestFleet;
  readonly vault: VaultServer;
  /** What a controller's configuration says of this Vault. */
  readonly controller_vault: ControllerConfig["vault"];
  /** Vault as a controller sees it. */
  asController(): Promise<Vault>;
  /** Vault as a person of that rank sees it. */
  asPerson(name: string, rank: PersonRank): Promise<Vault>;
  stop(): Promise<void>;
};

export async function startVaultFleet(signal: AbortSignal): Promise<VaultFleet> {
  const vault = await startVault(signal);
  const changes = { made: [], warnings: [] };
  const audit_file = join(vault.directory, "audit.log");
  const made = await setUpVault(vault.root, "lab", { networks: [], audit_file }, changes);
  const { role_id, secret_id } = await programLogin(vault.root, "controller", null, changes);
  const more_roles = Object.fromEntries(
    ROLES.map((role) => [role, encodePublic("account", made.keys[`fleet-${role}`])]),
  ) as Record<Role, string>;
  const bundle: Partial<TrustBundle> = {
    vault: [vault.address],
    vault_ca: [vault.ca_pem],
    identity_ca: [made.ca.identity],
    services_ca: [made.ca.services],
    ssh_host_ca: [made.ssh.host],
  };
  const fleet = await startFleet({ more_roles, bundle });
  const file = (name: string) => join(fleet.server.directory, name);
  await writeFile(file("vault-ca.pem"), vault.ca_pem);
  await writeFile(file("role_id"), role_id, { mode: 0o600 });
  await writeFile(file("secret_id"), secret_id, { mode: 0o600 });
  const server = { addresses: [vault.address], ca_pem: vault.ca_pem };
  return {
    fleet,
    vault,
    controller_vault: {
      addresses: [vault.address],
      ca: file("vault-ca.pem"),
      role_id: file("role_id"),
      secret_id: file("secret_id"),
    },
    asController: () => openVault(server, signal).loginAppRole(role_id, secret_id),
    async asPerson(name, rank) {
      const password = `password of ${name}`;
      await putPerson(vault.root, { name, rank, password });
      return openVault(server, signal).loginUserpass(name, password);
    },
    async stop() {
      await fleet.stop();
      await vault.stop();
    },
  };
}
