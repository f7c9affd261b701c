/**
 * Ground for commands that speak with a fleet: a real broker and controller, a logged-in person, a fleet folder, and hosts that answer RPC
 * through the real dispatcher with what a test puts into them. Real agents are in apply/agents.test.ts.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Bus } from "@muster/ports/bus";
import { serve } from "@muster/ports/dispatch";
import { processMemory } from "@muster/ports/nonces";
import { type Feed, Streams } from "@muster/ports/streams";
import {
  BgpSample,
  type ChecksSample,
  type Convergence,
  createNkey,
  type Facts,
  FleetError,
  type Health,
  hashOfContent,
  type Joined,
  type Manifest,
  openManifest,
  type PathProbe,
  type Plan,
  planIndex,
  RPC,
  type RpcRequest,
  type Step,
  subjects,
  verifierOf,
  watched,
} from "@muster/protocol";
import { startController, type TestController } from "../../kit/controller.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import type { Person } from "../../kit/people.ts";
import { beat, makeHost, type TestHost } from "../../kit/rollout.ts";
import { ctl, type Ran } from "./terminal.ts";

/** A host that is not there: what it would say is the test's to set. */
export type PlayedHost = TestHost & {
  /** Steps for content that it does not hold; none for what it holds. */
  steps: Step[];
  guard: Plan["guard"];
  notes: string[];
  plan_error: FleetError | null;
  /** Waited for before a plan is answered. */
  at_plan: (() => Promise<unknown>) | null;
  /** Overrides what happens at a manifest; null = it converges. */
  at_manifest: ((manifest: Manifest, host: PlayedHost) => void) | null;
  bgp: BgpSample;
  path: PathProbe | null;
  checks: ChecksSample;
  /** Null = it refuses to tell. */
  health: (() => Health) | null;
  /** Ids of images on its engine, by name. */
  images: Record<string, string>;
  /** Null = it refuses to tell. */
  facts: Facts | null;
  /** What feeds the stream of its logs. */
  logs: (request: RpcRequest<"logs">) => Feed<"logs">;
  manifests: Manifest[];
  /** By whose join string it was let in; null = it came without one. */
  joined: Joined | null;
  now: Convergence;
};

export type Ground = {
  readonly fleet: TestFleet;
  readonly hosts: Readonly<Record<string, PlayedHost>>;
  readonly home: string;
  readonly folder: string;
  readonly controller: TestController;
  readonly alice: Person;
  write(file: string, text: string): Promise<void>;
  run(
    words: string,
    options?: {
      answers?: readonly string[];
      signal?: AbortSignal;
      cwd?: string;
      on_out?: (out: string) => void;
      /** Words with blanks in them. */
      more?: readonly string[];
    },
  ): Promise<Ran>;
  /** Logs in as that rank; the ground begins with operator alice. */
  logIn(person: string, rank: "viewer" | "operator" | "admin" | "ci"): Promise<void>;
  stop(): Promise<void>;
};

export const EMPTY_BGP = BgpSample.parse({
  at: "2026-11-21T00:00:00.000Z",
  daemon: {
    name: "bird",
    reachable: true,
    error: null,
    version: "2.0.12",
    router_id: null,
    since: { at: null, exact: false },
    reconfigured: { at: null, exact: false },
    state: "running",
  },
  sessions: [],
});

export async function startGround(
  names: readonly string[],
  signal: AbortSignal,
  started: { controller?: boolean } = {},
): Promise<Ground> {
  const fleet = await startFleet({ name: "as64500" });
  const directory = await mkdtemp(join(tmpdir(), "muster-ctl-"));
  const [home, folder] = [join(directory, "home"), join(directory, "fleet")];
  const setup = await fleet.connect("controller", "setup", signal);
  const hosts: Record<string, PlayedHost> = {};
  for (const name of names) hosts[name] = await playHost(fleet, name, setup.bus, signal);
  const controller =
    started.controller === false
      ? { issuer: undefined as never, stop: async () => undefined }
      : await startController(fleet);
  const alice = await fleet.person("alice", "operator");
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  };
  const logIn: Ground["logIn"] = async (person, rank) => {
    const signer = person === "alice" && rank === "operator" ? alice : await fleet.person(person, rank);
    const key = createNkey("user");
    const { jwt } = await fleet.credentials(rank === "viewer" ? "viewer" : "operator", person, key);
    const ends = Date.now() + 8 * 3_600_000;
    const profile = {
      v: 1,
      fleet: fleet.name,
      brokers: [fleet.server.address],
      anchor: fleet.anchor,
      broker_ca: fleet.broker_ca.certificate_pem,
      bundle: fleet.bundle,
      person,
    };
    const session = {
      v: 1,
      person,
      rank,
      certificate_pem: signer.pem,
      certificate_ends: ends,
      key_pem: signer.key.export({ type: "pkcs8", format: "pem" }),
      seed: key.seed,
      user_jwt: jwt,
      jwt_ends: ends,
      vault_token: null,
    };
    await mkdir(join(home, fleet.name), { recursive: true });
    await writeFile(join(home, fleet.name, "fleet.json"), JSON.stringify(profile));
    await writeFile(join(home, fleet.name, "session.json"), JSON.stringify(session));
  };
  await logIn("alice", "operator");
  await mkdir(folder, { recursive: true });
  return {
    fleet,
    hosts,
    home,
    folder,
    controller,
    alice,
    write,
    logIn,
    run: (words, { more = [], ...options } = {}) =>
      ctl([...words.split(" "), ...more], { home, cwd: folder, ...options }),
    async stop() {
      await controller.stop();
      await fleet.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

async function playHost(
  fleet: TestFleet,
  name: string,
  setup: Bus,
  signal: AbortSignal,
): Promise<PlayedHost> {
  const verifier = verifierOf(fleet.bundle);
  const host = await makeHost(fleet, name, setup, verifier, signal);
  host.answer = null;
  const said: Convergence = {
    ...watched(0, "0.1.0"),
    certificates: [{ name: "bus", not_after: Date.now() + 6 * 86_400_000 + 3_600_000 }],
  };
  const say = host.say;
  const played: PlayedHost = Object.assign(host, {
    steps: [
      {
        ref: "file//etc/motd",
        action: "write",
        args: {},
        why: "motd +1 -1",
        diff: "@@ -1,1 +1,1 @@\n-old\n+new",
        reversible: true,
      },
    ] satisfies Step[],
    guard: null,
    notes: [],
    plan_error: null,
    at_plan: null,
    at_manifest: null,
    bgp: EMPTY_BGP,
    path: null,
    checks: { at: Date.now(), checks: [] },
    health: null,
    facts: null,
    images: {},
    logs: () => async () => ({ lines: 0 }),
    manifests: [],
    joined: null,
    now: said,
    say(change: Partial<Convergence> = {}) {
      played.now = { ...played.now, ...change, at: Date.now() };
      if (change.state !== undefined) played.now.since = Date.now();
      say({ ...played.now });
    },
  });
  beat({ bus: host.bus, say }, signal);
  host.bus.subscribe(subjects.liveDesired(host.id), {}, (message) => {
    const { manifest } = openManifest(message, { fleet: fleet.name, id: host.id }, verifier);
    played.manifests.push(manifest);
    if (played.at_manifest !== null) return played.at_manifest(manifest, played);
    converge(played, manifest);
  });
  const planOf = (content: Manifest["content"]): Plan => {
    const content_hash = hashOfContent(content);
    const steps = played.now.content_hash === content_hash ? [] : played.steps;
    const plan = {
      host: name,
      content_hash,
      steps,
      waiting: [],
      drift: [...played.now.drift],
      left: [],
      notes: played.notes,
      guard: steps.length > 0 ? played.guard : null,
    };
    return { ...plan, index: planIndex(plan) };
  };
  const streams = new Streams({ on_mistake: (_, error) => Promise.reject(error) }, signal);
  serve(
    {
      bus: host.bus,
      table: RPC,
      handlers: {
        ping: () => ({ host: name, at: Date.now(), version: "0.1.0", protocol: 1 }),
        facts: () => {
          if (played.facts === null) throw new FleetError("UNSUPPORTED", "not played");
          return played.facts;
        },
        health: () => {
          if (played.health === null) throw new FleetError("UNSUPPORTED", "not played");
          return played.health();
        },
        checks: () => played.checks,
        bgp: ({ session }) => ({ sample: played.bgp, path: session === undefined ? null : played.path }),
        status: () => ({
          host: name,
          groups: [],
          labels: {},
          convergence: { ...played.now, at: Date.now() },
          bgp: null,
        }),
        manifest: () => ({ envelope: null }),
        images: ({ images }) => ({
          images: images.map((image) => ({ image, id: played.images[image] ?? null })),
        }),
        plan: async ({ content }) => {
          await played.at_plan?.();
          if (played.plan_error !== null) throw played.plan_error;
          // These hosts hold nothing.
          if (content === undefined) throw new FleetError("NOT_FOUND", "not held");
          return planOf(content);
        },
        reconcile: () => ({ generation: played.now.generation }),
        return: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        switch: () => ({ thrown: [] }),
        logs: (request, call) => streams.open<"logs">(call, played.logs(request)),
        next: (request, call) => streams.next(request, call),
        birdc: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        exec: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        reboot: () => ({ boot: "1" }),
        prune: () => ({ kept: [], removed: [], failed: [] }),
        joined: () => ({ joined: played.joined }),
        rename: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        login: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
        audit: () => {
          throw new FleetError("UNSUPPORTED", "not played");
        },
      },
      routes: [{ pattern: `rpc.${host.id}.*`, logical: (method) => subjects.rpc(host.id, method) }],
      verifier: () => verifier,
      now: Date.now,
      memory: { ...processMemory(Date.now), signed_from_ms: Date.now() - 60_000 },
      self: () => ({ id: host.id, groups: [], labels: {} }),
    },
    signal,
  );
  await host.bus.roundTrip();
  played.say({ state: "watched" });
  return played;
}

/** As a host does that carried a manifest out. */
export function converge(host: PlayedHost, manifest: Manifest): void {
  host.say({
    state: "converged",
    generation: manifest.generation,
    content_hash: manifest.content_hash,
    release: manifest.release.id,
    detail: "",
    error: null,
  });
}

/** A folder of three hosts with a motd each, and a shared issue file. */
export async function writeSmallFolder(ground: Ground, motd = "hello"): Promise<void> {
  await ground.write(
    "muster.yml",
    "fleet: as64500\nlabels: [site]\nrollout: { waves: [probe, core, ixp] }\n",
  );
  await ground.write(
    "hosts.yml",
    "core:\n  hosts:\n    core1: { site: ams }\nixp:\n  hosts:\n    ixp1: { site: ams }\nprobe:\n  hosts:\n    probe1: { site: atl }\nrouters:\n  children: { core: {}, ixp: {}, probe: {} }\n",
  );
  await ground.write(
    "resources/routers.yml",
    `file:\n  /etc/motd: { content: "${motd}\\n" }\n  /etc/issue: { content: "{{ inventory_hostname }}\\n" }\n`,
  );
}
