/** A real agent that was let in by a real controller and follows its operator, and what it says of what it is given. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus, BusMessage } from "@muster/ports/bus";
import {
  type Envelope,
  hashOfContent,
  type Manifest,
  type ManifestContent,
  parseJson,
  Reply,
  type Resource,
  seal,
  subjects,
} from "@muster/protocol";
import { ERRORS, FleetError } from "@muster/protocol/errors";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../kit/agent.ts";
import { startController } from "../kit/controller.ts";
import type { TestFleet } from "../kit/fleet.ts";
import { patienceOf } from "../kit/patience.ts";
import type { Person } from "../kit/people.ts";
import { randomHex } from "../kit/rollout.ts";

export const HOST_FILE = "/etc/motd";
const WAIT_MS = 15_000;
const ORDER_MS = 20_000;

export type Signed = { readonly manifest: Manifest; readonly envelope: Envelope };

export type Host = {
  readonly agent: TestAgent;
  readonly id: string;
  /** A controller's bus, for whoever publishes. */
  readonly bus: Bus;
  /** Resolves with the code of the refusal that comes next; `taken` when none comes. */
  manifestRefused(publish: () => Promise<unknown>): Promise<string>;
  bundleRefused(publish: () => Promise<unknown>): Promise<string>;
};

export async function until(what: string, ready: () => boolean | Promise<boolean>): Promise<void> {
  const patience = patienceOf(WAIT_MS);
  while (!(await ready())) {
    if (patience.over()) throw new Error(`${what}: not after ${patience.text()}`);
    await sleep(20);
  }
}

/** Enrolled as core1; the controller that let it in is gone then. */
export async function openHost(fleet: TestFleet, by: Person, signal: AbortSignal): Promise<Host> {
  const agent = await makeAgent("core1", { log_level: "info" });
  const controller = await startController(fleet);
  await realSshCertificates(controller.issuer, fleet.server.directory);
  await agent.write("/etc/muster/join", joinString(fleet, by, { name: "core1" }));
  const { bus } = await fleet.connect("controller", "stand-in", signal);
  agent.start();
  const status = async () => JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}");
  await until("the agent is enrolled", async () => (await status()).host === "core1");
  await controller.stop();
  return { agent, id: (await status()).id, bus, ...refusals(agent, bus) };
}

/** What `id` says to that order: `ok`, or the code of its refusal. To an order for all it answers under its own subject. Errors: those of the bus. */
export async function told(
  bus: Bus,
  id: string,
  subject: string,
  { headers, body }: Envelope,
): Promise<string> {
  const limits = { timeout_ms: ORDER_MS };
  let answer: Pick<BusMessage, "body"> | undefined;
  if (subject.startsWith("rpc.all."))
    await bus.gatherBroadcast(
      { subject, headers: { ...headers }, body },
      { ...limits, expected: [id], on_answer: (_, message) => (answer = message) },
    );
  else answer = await bus.request(subject, body, { ...limits, headers: { ...headers } });
  if (answer === undefined) throw new FleetError("TIMEOUT", subject);
  const reply = parseJson(Reply, answer.body, "reply");
  return "error" in reply ? reply.error.code : "ok";
}

/** Content with one file of that text. */
export function contentOf(text: string): ManifestContent {
  const resource: Resource = {
    kind: "file",
    name: HOST_FILE,
    spec: { content: text, owner: "root", group: "root", mode: "0644" },
    needs: [],
  };
  return { groups: ["core"], labels: {}, resources: [resource], switches: [] };
}

export function manifestOf(
  fleet: TestFleet,
  id: string,
  generation: number,
  content: ManifestContent,
  change: Partial<Manifest> = {},
): Manifest {
  return {
    v: 1,
    fleet: fleet.name,
    host: "core1",
    id,
    generation,
    release: { id: randomHex(), return_to: null, not_after: Date.now() + 3_600_000 },
    content,
    content_hash: hashOfContent(content),
    intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
    rolled_back: {},
    ...change,
  };
}

/** Signs, publishes, and waits until the host's file says it. */
export async function bringIn(host: Host, manifest: Manifest, by: Person, text: string): Promise<Signed> {
  const subject = subjects.desired(host.id);
  const envelope = seal(subject, Buffer.from(JSON.stringify(manifest)), by, Date.now());
  await host.bus.publishStored(subject, envelope.body, { headers: envelope.headers });
  await until(`generation ${manifest.generation}`, async () => (await host.agent.read(HOST_FILE)) === text);
  return { manifest, envelope };
}

/** What the agent says of a manifest, as an event, and of a bundle, in its log. */
function refusals(agent: TestAgent, bus: Bus): Pick<Host, "manifestRefused" | "bundleRefused"> {
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
    const patience = patienceOf(WAIT_MS);
    while (list().length === before) {
      if (patience.over()) return "taken";
      await sleep(10);
    }
    return codeIn(list().at(-1) ?? "");
  };
  return {
    manifestRefused: (publish) => next(() => told, publish),
    bundleRefused: (publish) => next(bundles, publish),
  };
}

/** The code whose message this text begins with. */
function codeIn(text: string): string {
  const found = Object.entries(ERRORS).find(([, { message }]) => text.startsWith(message));
  return found?.[0] ?? text;
}
