/**
 * The world of a hostile controller: a real Vault that the fleet's own set-up made, with secrets planted in it, a real broker that believes Vault's keys,
 * and a real agent that follows its operator. What the controller has lies on a disk of its own.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodePublic, subjects, type TrustBundle } from "@muster/protocol";
import { programLogin } from "../../../packages/ctl/src/fleet/program-login.ts";
import { setUpVault, type VaultMade } from "../../../packages/ctl/src/fleet/vault-setup.ts";
import type { TestAgent } from "../../kit/agent.ts";
import { controllerConfig } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import type { Person } from "../../kit/people.ts";
import { randomHex } from "../../kit/rollout.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";
import {
  bringIn,
  contentOf,
  HOST_FILE,
  type Host,
  manifestOf,
  openHost,
  type Signed,
  until,
} from "../host.ts";
import type { Victim } from "./host-attempts.ts";

export type Ground = {
  readonly vault: VaultServer;
  readonly made: VaultMade;
  readonly fleet: TestFleet;
  readonly agent: TestAgent;
  readonly alice: Person;
  readonly victim: Victim;
  /** The controller's whole disk. */
  readonly disk: string;
  readonly config_file: string;
  /** What no controller may ever see: planted in Vault and on the host. */
  readonly canaries: readonly string[];
  /** When the release in force lapses. */
  readonly lapses_at: number;
  stop(): Promise<void>;
};

const LAPSE_MS = 10_000;

/** What the web page is called. */
export const PAGE_NAME = "core1.as64500.example";

/** What holds before and after the attack. */
export const held = async ({ agent }: Ground) => ({
  file: await agent.read(HOST_FILE),
  state: JSON.parse((await agent.read("/var/lib/muster-agent/ledger.json")) ?? "{}").accepted,
  trust: await agent.read("/var/lib/muster-agent/trust.json"),
});

export async function makeGround(signal: AbortSignal): Promise<Ground> {
  const vault = await startVault(signal);
  const changes = { made: [], warnings: [] };
  const audit_file = join(vault.directory, "audit.log");
  const made = await setUpVault(
    vault.root,
    "lab",
    { networks: [], page_names: [PAGE_NAME], audit_file },
    changes,
  );
  const canaries = Array.from({ length: 3 }, () => `canary-${randomBytes(12).toString("hex")}`);
  const [bgp = "", fleet_secret = "", host_secret = ""] = canaries;
  const [login] = await Promise.all([
    programLogin(vault.root, "controller", null, changes),
    vault.root.write("kv/data/as64500/bgp", { data: { password: bgp } }),
    vault.root.write("kv/data/muster/fleet", { data: { admin: fleet_secret } }),
    vault.root.write("auth/userpass/users/alice", { password: randomHex() }),
    vault.root.write("identity/entity/name/alice", { policies: ["muster-admin"] }),
  ]);
  const key = (role: "agent" | "controller" | "operator" | "viewer") =>
    encodePublic("account", made.keys[`fleet-${role}`]);
  const fleet = await startFleet({
    more_roles: {
      agent: key("agent"),
      controller: key("controller"),
      operator: key("operator"),
      viewer: key("viewer"),
    },
  });
  const { disk, config_file } = await layDisk(vault, fleet, login);

  const alice = await fleet.person("alice");
  const host = await openHost(fleet, alice, signal);
  const { agent, bus } = host;
  const bundle: TrustBundle = {
    ...fleet.bundle,
    version: 2,
    operators_ca: [...fleet.bundle.operators_ca, made.ca.operators],
    controllers_ca: [...fleet.bundle.controllers_ca, made.ca.controllers],
    services_ca: [made.ca.services],
    identity_ca: [made.ca.identity],
  };
  const next = fleet.signBundle(bundle);
  await bus.publishStored(subjects.trust(), next.body, { headers: next.headers });
  await until("the agent holds the second bundle", () => agent.output().includes("newer trust bundle"));

  await agent.write("/etc/secret", host_secret);
  const { signed, lapses_at } = await rollOut(fleet, host, alice);
  return {
    vault,
    made,
    fleet,
    agent,
    alice,
    victim: { ...host, bundle, signed },
    disk,
    config_file,
    canaries,
    lapses_at,
    async stop() {
      await agent.remove();
      await fleet.stop();
      await vault.stop();
    },
  };
}

/** As `ctl init` lays it: configuration, CAs, and one secret. */
async function layDisk(
  vault: VaultServer,
  fleet: TestFleet,
  { role_id, secret_id }: { role_id: string; secret_id: string },
): Promise<{ disk: string; config_file: string }> {
  const disk = join(fleet.server.directory, "controller");
  await mkdir(disk, { mode: 0o700 });
  const at = (name: string) => join(disk, name);
  const config = await controllerConfig(fleet);
  await Promise.all([
    writeFile(at("vault-ca.pem"), vault.ca_pem),
    writeFile(at("broker-ca.pem"), fleet.broker_ca.certificate_pem),
    writeFile(at("role_id"), role_id, { mode: 0o600 }),
    writeFile(at("secret_id"), secret_id, { mode: 0o600 }),
    writeFile(
      at("config.json"),
      JSON.stringify({
        ...config,
        broker_ca: at("broker-ca.pem"),
        vault: {
          addresses: [vault.address],
          ca: at("vault-ca.pem"),
          role_id: at("role_id"),
          secret_id: at("secret_id"),
        },
      }),
    ),
  ]);
  return { disk, config_file: at("config.json") };
}

/** Three generations, the last with a release that lapses at once. */
async function rollOut(fleet: TestFleet, host: Host, alice: Person) {
  const signed: Signed[] = [];
  let lapses_at = 0;
  for (const generation of [1, 2, 3]) {
    const text = `${generation}\n`;
    // From when the last one goes out: a slow host takes its time over those before.
    lapses_at = Date.now() + LAPSE_MS;
    const release = {
      id: randomHex(),
      return_to: signed.at(-1)?.manifest.content_hash ?? null,
      not_after: generation === 3 ? lapses_at : Date.now() + 3_600_000,
    };
    const manifest = manifestOf(fleet, host.id, generation, contentOf(text), { release });
    signed.push(await bringIn(host, manifest, alice, text));
  }
  return { signed, lapses_at };
}
