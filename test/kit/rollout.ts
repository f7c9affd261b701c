/** Signing and ordering a rollout as `ctl apply` does, and hosts that only say that they have converged. For tests of the controller. */
import { randomBytes } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import {
  type Convergence,
  type HostRecord,
  hashOfContent,
  type Manifest,
  type ManifestContent,
  type Nkey,
  openManifest,
  type Release,
  type StoredEnvelope,
  seal,
  storeEnvelope,
  subjects,
  type Verifier,
  watched,
} from "@muster/protocol";
import type { TestFleet } from "./fleet.ts";
import type { Person } from "./people.ts";

export const randomHex = () => randomBytes(16).toString("hex");

export function contentOf(text: string): ManifestContent {
  return { groups: [], labels: { text }, resources: [], switches: [] };
}

export type Draft = {
  readonly generation: number;
  readonly waves: string[][];
  readonly rollout?: string;
  readonly text?: string;
  readonly release?: Partial<Release>;
  readonly manifest?: Partial<Manifest>;
};

/** The signed release and manifests of a rollout over these hosts (name → id). */
export function signRollout(
  fleet: TestFleet,
  person: Person,
  ids: Readonly<Record<string, string>>,
  draft: Draft,
) {
  const id = draft.rollout ?? randomHex();
  const content = contentOf(draft.text ?? "one");
  const content_hash = hashOfContent(content);
  const not_after = Date.now() + 3_600_000;
  const sign = (subject: string, body: unknown): StoredEnvelope =>
    storeEnvelope(seal(subject, Buffer.from(JSON.stringify(body)), person, Date.now()));
  const names = draft.waves.flat();
  const manifests = names.map((host) => {
    const manifest: Manifest = {
      v: 1,
      fleet: fleet.name,
      host,
      id: ids[host] ?? "",
      generation: draft.generation,
      release: { id, return_to: null, not_after },
      content,
      content_hash,
      intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
      rolled_back: {},
      ...draft.manifest,
    };
    return { id: manifest.id, manifest: sign(subjects.desired(manifest.id), manifest) };
  });
  const release: Release = {
    v: 1,
    id,
    fleet: fleet.name,
    generation: draft.generation,
    message: "a test",
    waves: draft.waves,
    gate: { wave_timeout_ms: 10_000, max_failed: 0 },
    never_together: [],
    hosts: Object.fromEntries(
      names.map((name) => [name, { id: ids[name] ?? "", content_hash, return_to: null }]),
    ),
    not_after,
    ...draft.release,
  };
  return { id, manifests, release: sign(subjects.release(id), release) };
}

/** Stages and orders it. */
export async function order(caller: Caller, signed: ReturnType<typeof signRollout>) {
  for (const { id, manifest } of signed.manifests)
    await callController(caller, "stage", { rollout: signed.id, id, manifest });
  return callController(caller, "apply", { rollout: signed.id, release: signed.release });
}

export type TestHost = {
  readonly id: string;
  readonly key: Nkey;
  readonly bus: Bus;
  /** Generations that came, in order. */
  readonly got: number[];
  /** What it answers to a manifest; `null` = nothing. */
  answer: Convergence["state"] | null;
  say(change?: Partial<Convergence>): void;
};

/** From now on it says again and again what it said last, or it would be silent before a slow machine has looked. Until the signal aborts. */
export function beat({ bus, say }: Pick<TestHost, "bus" | "say">, signal: AbortSignal): void {
  const beating = setInterval(() => {
    if (bus.connected) say();
  }, 2_000);
  beating.unref();
  signal.addEventListener("abort", () => clearInterval(beating), { once: true });
}

/** An enrolled host without an agent: a record, a connection, and a word at every manifest. */
export async function makeHost(
  fleet: TestFleet,
  name: string,
  controller: Bus,
  verifier: Verifier,
  signal: AbortSignal,
): Promise<TestHost> {
  const { bus, id, key } = await fleet.connect("agent", name, signal);
  const record: HostRecord = {
    name,
    id,
    ssh_public_key: "ssh-ed25519 AAAA",
    curve: "",
    groups: [],
    enrolled_at: Date.now(),
    enrolled_by: "test",
    recoveries: 0,
    state: "enrolled",
    certificates: { user_jwt: 0, service: 0, ssh: 0 },
    os: "Debian 12",
    agent_version: "0.1.0",
  };
  await controller.kv("hosts").create(name, Buffer.from(JSON.stringify(record)));
  const said = watched(0, "0.1.0");
  let last = said;
  const host: TestHost = {
    id,
    key,
    bus,
    got: [],
    answer: "converged",
    say(change = {}) {
      last = {
        ...last,
        ...change,
        at: Date.now(),
        since: change.state === undefined ? last.since : Date.now(),
      };
      bus.publish(subjects.telemetry(id, name, "convergence"), Buffer.from(JSON.stringify(last)));
    },
  };
  bus.subscribe(subjects.liveDesired(id), {}, (message) => {
    const { manifest } = openManifest(message, { fleet: fleet.name, id }, verifier);
    host.got.push(manifest.generation);
    if (host.answer === null) return;
    const { generation, content_hash, release } = manifest;
    host.say({ state: host.answer, generation, content_hash, release: release.id });
  });
  await bus.roundTrip();
  host.say();
  return host;
}
