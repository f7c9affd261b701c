/**
 * A host whose credentials live seconds or minutes, watched from outside while what they come from fails: a controller that restarts, a Vault that is
 * sealed, a broker that restarts. Real nats-server, Vault, controller and agent. For the test (seconds) and for `npm run bench -- lives` (minutes).
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CREDENTIAL_NAMES, type CredentialName, type KeptCredentials } from "@muster/agent/credentials";
import { type Caller, callOne } from "@muster/ports/call";
import { patterns } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { z } from "zod";
import { hostLogins } from "../../packages/ctl/src/join/host-logins.ts";
import { joinString, makeAgent, type TestAgent } from "./agent.ts";
import { startController } from "./controller.ts";
import { randomHex } from "./rollout.ts";
import { startVaultFleet, type VaultFleet } from "./vault-fleet.ts";

export type Lives = { readonly [K in CredentialName]: number };
export type Fault = "controller" | "vault" | "broker";

export type LivesOrder = {
  readonly lives_s: Lives;
  readonly duration_s: number;
  /** When each fault begins, and how long it lasts. */
  readonly faults: Readonly<Record<Fault, { readonly at_s: number; readonly for_s: number }>>;
  readonly say: (text: string) => void;
};

type Counted = { readonly [K in CredentialName]: number };

export type LivesReport = {
  readonly renewed: Counted;
  /** Of each credential the least part of its life that was ever left; below 0 it had ended. */
  readonly least_left: Counted;
  /** How long the host gave no answer, at the longest, while the broker was there. */
  readonly silent_ms: number;
  /** How long after the broker's return the host answered. */
  readonly back_ms: number;
  readonly answers: number;
  readonly told: readonly string[];
  /** The end of the agent's log. */
  readonly log: string;
};

const LOOK_MS = 100;
const anyFields = z.record(z.string(), z.unknown());
const STATE = "var/lib/muster-agent/credentials.json";
/** The credential's role at Vault, where its life is set. */
const ROLES = { identity: "identity-ca/roles/own", service: "services/roles/own", ssh: "ssh-host/roles/own" };

/** Errors: whatever keeps the servers from starting; the rest is in the report. */
export async function watchLives(order: LivesOrder): Promise<LivesReport> {
  const { lives_s, say, faults } = order;
  const life = new AbortController();
  const ground = await startVaultFleet(life.signal);
  const agent = await makeAgent("core1");
  const lifetimes_s = { agent: lives_s.bus, service: lives_s.service, ssh: lives_s.ssh };
  const start = () => startController(ground.fleet, { vault: ground.controller_vault, lifetimes_s });
  let controller = await start();
  try {
    await shorten(ground, lives_s);
    await enrolled(ground, agent);
    say("the host has all its credentials");
    const { bus } = await ground.fleet.connect("operator", "alice", life.signal);
    const caller: Caller = { bus, signer: await ground.fleet.person("alice"), now: Date.now };
    const told: string[] = [];
    bus.subscribe(patterns.event("core1", "credentials"), { concurrency: 1 }, (message) => {
      told.push(JSON.parse(Buffer.from(message.body).toString()).what);
      say(`core1: ${told.at(-1)}`);
    });
    const began = Date.now();
    const end = began + order.duration_s * 1000;
    const broker = { away: false, back_at: 0, back_ms: 0 };
    const at = async (fault: Fault, begin: () => Promise<unknown>, finish: () => Promise<unknown>) => {
      const { at_s, for_s } = faults[fault];
      await until(began + at_s * 1000);
      say(`${fault}: away for ${for_s} s`);
      await begin();
      await sleep(for_s * 1000);
      await finish();
      say(`${fault}: back`);
    };
    const [lives, answers] = await Promise.all([
      watchFile(agent, end, say),
      watchAnswers(
        caller,
        JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "").id,
        end,
        broker,
      ),
      at(
        "controller",
        () => controller.stop(),
        async () => {
          controller = await start();
        },
      ),
      at("vault", ground.vault.seal, ground.vault.unseal),
      at(
        "broker",
        async () => {
          broker.away = true;
          await ground.fleet.server.halt();
        },
        async () => {
          await ground.fleet.server.start();
          Object.assign(broker, { away: false, back_at: Date.now() });
        },
      ),
    ]);
    return { ...lives, ...answers, back_ms: broker.back_ms, told, log: agent.output().slice(-8_000) };
  } finally {
    await agent.remove();
    await controller.stop();
    life.abort();
    await ground.stop();
  }
}

const until = (at_ms: number) => sleep(Math.max(0, at_ms - Date.now()));

/** Vault's roles say how long a host's own certificates live. */
async function shorten({ vault }: VaultFleet, lives_s: Lives): Promise<void> {
  for (const [name, path] of Object.entries(ROLES)) {
    const ttl = lives_s[name as keyof typeof ROLES];
    const held = await vault.root.read(path, anyFields);
    await vault.root.write(path, { ...held, ttl, max_ttl: ttl });
  }
  const join_role = "identity-ca/roles/join";
  const held = await vault.root.read(join_role, anyFields);
  await vault.root.write(join_role, { ...held, ttl: lives_s.identity, max_ttl: lives_s.identity });
}

/** Lets the host in as `ctl join` does, and waits until it has its own log-in. */
async function enrolled(ground: VaultFleet, agent: TestAgent): Promise<void> {
  const alice = await ground.fleet.person("alice");
  const logins = await hostLogins(await ground.asPerson("alice", "operator"));
  const id = randomHex();
  const token = await logins.token("core1", id, 600);
  await agent.write(
    "/etc/muster/join",
    joinString(ground.fleet, alice, { id, name: "core1" }, { vault_token: token }),
  );
  agent.start();
  const deadline = Date.now() + 20_000;
  while ((await kept(agent))?.identity === undefined) {
    if (Date.now() > deadline) throw new Error(`no log-in at Vault after 20 s\n${agent.output()}`);
    await sleep(LOOK_MS);
  }
}

async function kept(agent: TestAgent): Promise<KeptCredentials | null> {
  const text = await readFile(join(agent.prefix, STATE), "utf8").catch(() => null);
  return text === null ? null : JSON.parse(text);
}

/** Looks at what the host has on disk. */
async function watchFile(agent: TestAgent, end: number, say: (text: string) => void) {
  const zero = (value: number) =>
    Object.fromEntries(CREDENTIAL_NAMES.map((name) => [name, value])) as Record<CredentialName, number>;
  const [renewed, least_left, ends] = [zero(0), zero(1), zero(0)];
  while (Date.now() < end) {
    const state = await kept(agent);
    for (const name of CREDENTIAL_NAMES) {
      const span = state?.spans[name];
      if (span === undefined) continue;
      if (ends[name] !== 0 && ends[name] !== span.to) {
        renewed[name]++;
        say(`${name} renewed, good until ${new Date(span.to).toISOString().slice(11, 19)}`);
      }
      ends[name] = span.to;
      least_left[name] = Math.min(least_left[name], (span.to - Date.now()) / (span.to - span.from));
    }
    await sleep(LOOK_MS);
  }
  return { renewed, least_left };
}

/** Asks the host again and again. */
async function watchAnswers(
  caller: Caller,
  id: string,
  end: number,
  broker: { away: boolean; back_at: number; back_ms: number },
) {
  let answers = 0;
  let silent_ms = 0;
  let heard_at = Date.now();
  while (Date.now() < end) {
    try {
      await callOne(caller, id, "ping", {});
      answers++;
      const now = Date.now();
      if (broker.back_at !== 0 && broker.back_ms === 0) broker.back_ms = now - broker.back_at;
      else silent_ms = Math.max(silent_ms, now - heard_at);
      heard_at = now;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      // What is no answer shows in the time until the next; without a broker nobody can answer.
      if (broker.away) heard_at = Date.now();
    }
    await sleep(LOOK_MS);
  }
  return { answers, silent_ms: Math.max(silent_ms, Date.now() - heard_at) };
}
