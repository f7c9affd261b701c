/**
 * The world of a hostile controller: a real Vault that the fleet's own set-up made, with secrets planted in it, a real broker that believes Vault's keys,
 * and a real agent that follows its operator. What the controller has lies on a disk of its own.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import {
  type Envelope,
  encodePublic,
  hashOfContent,
  type Manifest,
  type Resource,
  seal,
  subjects,
  type TrustBundle,
} from "@muster/protocol";
import { programLogin } from "../../../packages/ctl/src/fleet/program-login.ts";
import { setUpVault, type VaultMade } from "../../../packages/ctl/src/fleet/vault-setup.ts";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../kit/agent.ts";
import { controllerConfig, startController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import type { Person } from "../../kit/people.ts";
import { randomHex } from "../../kit/rollout.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";
import { codeIn, type Victim } from "./host-attempts.ts";

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

const HOST_FILE = "/etc/motd";
const WAIT_MS = 15_000;
const LAPSE_MS = 6_000;

export async function until(what: string, ready: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + WAIT_MS;
  while (!(await ready())) {
    if (Date.now() > end) throw new Error(`${what}: not after ${WAIT_MS} ms`);
    await sleep(20);
  }
}

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
  const made = await setUpVault(vault.root, "lab", { networks: [], audit_file }, changes);
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
  const agent = await makeAgent("core1", { log_level: "info" });
  const controller = await startController(fleet);
  await realSshCertificates(controller.issuer, fleet.server.directory);
  await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
  const { bus } = await fleet.connect("controller", "stand-in", signal);
  agent.start();
  const status = async () => JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}");
  await until("the agent is enrolled", async () => (await status()).host === "core1");
  const { id } = await status();

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
  const { signed, lapses_at } = await rollOut(bus, fleet, agent, alice, id);
  await controller.stop();
  return {
    vault,
    made,
    fleet,
    agent,
    alice,
    victim: { id, bundle, signed, ...refusals(agent, bus) },
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
async function rollOut(bus: Bus, fleet: TestFleet, agent: TestAgent, alice: Person, id: string) {
  const signed: { manifest: Manifest; envelope: Envelope }[] = [];
  const lapses_at = Date.now() + LAPSE_MS;
  for (const generation of [1, 2, 3]) {
    const text = `${generation}\n`;
    const resource: Resource = {
      kind: "file",
      name: HOST_FILE,
      spec: { content: text, owner: "root", group: "root", mode: "0644" },
      needs: [],
    };
    const content = { groups: ["core"], labels: {}, resources: [resource], switches: [] };
    const manifest: Manifest = {
      v: 1,
      fleet: fleet.name,
      host: "core1",
      id,
      generation,
      release: {
        id: randomHex(),
        return_to: signed.at(-1)?.manifest.content_hash ?? null,
        not_after: generation === 3 ? lapses_at : Date.now() + 3_600_000,
      },
      content,
      content_hash: hashOfContent(content),
      intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
      rolled_back: {},
    };
    const envelope = seal(subjects.desired(id), Buffer.from(JSON.stringify(manifest)), alice, Date.now());
    await bus.publishStored(subjects.desired(id), envelope.body, { headers: envelope.headers });
    await until(`generation ${generation}`, async () => (await agent.read(HOST_FILE)) === text);
    signed.push({ manifest, envelope });
  }
  return { signed, lapses_at };
}

/** What the agent says of a manifest, as an event, and of a bundle, in its log. */
function refusals(agent: TestAgent, bus: Bus): Pick<Victim, "manifestRefused" | "bundleRefused"> {
  const told: string[] = [];
  bus.subscribe("event.*.core1.*", { concurrency: 1 }, (message) => {
    const { kind, what } = JSON.parse(Buffer.from(message.body).toString());
    if (kind === "refusal") told.push(String(what).replace(/^refused: /, ""));
  });
  const BUNDLE = /a trust bundle was refused: ([^"]*)/g;
  const bundles = () => [...agent.output().matchAll(BUNDLE)].map((match) => match[1] ?? "");
  const next = async (list: () => readonly string[], act: () => Promise<unknown>): Promise<string> => {
    const before = list().length;
    await act();
    const end = Date.now() + WAIT_MS;
    while (list().length === before) {
      if (Date.now() > end) return "taken";
      await sleep(10);
    }
    return codeIn(list().at(-1) ?? "");
  };
  return {
    manifestRefused: (publish) => next(() => told, publish),
    bundleRefused: (publish) => next(bundles, publish),
  };
}
