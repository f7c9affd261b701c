/** An agent as a plain process against a real broker and a real controller: from a join string to a declared state that holds. */
import { type Caller, callController, callOne } from "@muster/ports/call";
import {
  AuditRecord,
  Convergence,
  type FleetEvent,
  hashOfContent,
  loadEnvelope,
  type Manifest,
  type ManifestContent,
  openManifest,
  parseJson,
  patterns,
  type Resource,
  type StoredEnvelope,
  seal,
  subjects,
  verifierOf,
} from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../kit/agent.ts";
import { startController, type TestController } from "../../kit/controller.ts";
import { assertWithin } from "../../kit/figures.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { patienceOf } from "../../kit/patience.ts";
import type { Person } from "../../kit/people.ts";
import { randomHex } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";

const file = (name: string, content: string): Resource => ({
  kind: "file",
  name,
  spec: { content, owner: "root", group: "root", mode: "0644" },
  needs: [],
});
const content = (...resources: Resource[]): ManifestContent => ({
  groups: ["core"],
  labels: { site: "ams" },
  resources,
  switches: [{ name: "hold", by: "operator", longest_ms: 0 }],
});

suite(
  "agent",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let alice: Person;
    let agent: TestAgent;
    let caller: Caller;
    let id = "";
    let generation = 0;
    let last: Convergence | null = null;
    const events: FleetEvent[] = [];
    let publish: (
      subject: string,
      body: Uint8Array,
      headers: Readonly<Record<string, string>>,
    ) => Promise<unknown>;

    const until = async (what: string, ready: () => boolean | Promise<boolean>, limit_ms = 10_000) => {
      const patience = patienceOf(limit_ms);
      while (!(await ready())) {
        if (patience.over()) {
          throw new Error(
            `${what}: not after ${patience.text()}; ${JSON.stringify(last)}\n${agent.output().slice(-3_000)}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const manifestOf = (body: ManifestContent, change: Partial<Manifest> = {}): Manifest => ({
      v: 1,
      fleet: fleet.name,
      host: "core1",
      id,
      generation: ++generation,
      release: { id: randomHex(), return_to: null, not_after: Date.now() + 3_600_000 },
      content: body,
      content_hash: hashOfContent(body),
      intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
      rolled_back: {},
      ...change,
    });
    const send = async (manifest: Manifest, signer: Person = alice) => {
      const subject = subjects.desired(id);
      const envelope = seal(subject, Buffer.from(JSON.stringify(manifest)), signer, Date.now());
      await publish(subject, envelope.body, envelope.headers);
      return manifest;
    };
    const codeOf = (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => "answered",
        (error: unknown) => {
          if (error instanceof FleetError) return error.code;
          throw error;
        },
      );
    const keptDrifts = async (): Promise<number> => {
      try {
        const kept = await callController(caller, "events", { since: null, kind: "drift", limit: 100 });
        return kept.events.length;
      } catch (error) {
        if (error instanceof FleetError && error.retryable) return 0;
        throw error;
      }
    };
    const converged = (at: number) =>
      until(`generation ${at} converged`, () => last?.generation === at && last.state === "converged");
    const refused = async (code: string) => {
      await until(`refused with ${code}`, () => last?.state === "refused" && last.error === code);
      assert.is(await agent.read("/etc/motd"), "one\n");
    };

    test.before(
      async () => {
        fleet = await startFleet();
        controller = await startController(fleet);
        await realSshCertificates(controller.issuer, fleet.server.directory);
        alice = await fleet.person("alice");
        agent = await makeAgent("core1");
        const operator = await fleet.connect("operator", "alice", life.signal);
        caller = { bus: operator.bus, signer: alice, now: Date.now };
        operator.bus.subscribe(patterns.telemetry("core1", "convergence"), { concurrency: 1 }, (message) => {
          last = parseJson(Convergence, message.body, "convergence");
        });
        operator.bus.subscribe(patterns.event("core1"), { concurrency: 1 }, (message) => {
          events.push(JSON.parse(Buffer.from(message.body).toString()));
        });
        const stand_in = await fleet.connect("controller", "stand-in", life.signal);
        publish = (subject, body, headers) => stand_in.bus.publishStored(subject, body, { headers });
      },
      { limit_ms: 30_000 },
    );
    test.after(async () => {
      await agent.remove();
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    test("waits for a join string, and takes it when it comes", async () => {
      agent.start();
      await until("status", async () => (await agent.read("/run/muster-agent/status.json")) !== null);
      const waiting = await agent.command("status");
      assert.match(waiting.stdout, /waiting for a join string/);
      await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
      await until("telemetry", () => last !== null);
      assert.is(last?.state, "watched");
      assert.equal(
        last?.certificates.map(({ name }) => name),
        ["bus", "service", "ssh"],
      );
      id = JSON.parse((await agent.read("/run/muster-agent/status.json")) ?? "{}").id;
      const reply = await callOne(caller, id, "ping", {});
      assert.is(reply.host, "core1");
      assert.is(await agent.read("/etc/muster/join"), null, "a used join string is removed");
    });

    test("converges on a signed manifest, and takes no step the second time", async () => {
      const body = content(
        {
          kind: "directory",
          name: "/etc/lab",
          spec: { owner: "root", group: "root", mode: "0755" },
          needs: [],
        },
        file("/etc/motd", "one\n"),
        file("/etc/lab/a", "a\n"),
      );
      const preview = await callOne(caller, id, "plan", { content: body, overwrite: [] });
      assert.is(preview.steps.length > 0, true);
      const began = performance.now();
      const manifest = manifestOf(body);
      await send({ ...manifest, intent: { ...manifest.intent, plan_index: preview.index } });
      await converged(1);
      console.log(
        `    published to converged: ${Math.round(performance.now() - began)} ms, apply ${last?.last_apply_ms} ms`,
      );
      assert.is(await agent.read("/etc/motd"), "one\n");
      assert.is(await agent.read("/etc/lab/a"), "a\n");
      const again = await callOne(caller, id, "plan", { content: body, overwrite: [] });
      assert.equal(again.steps, []);
      assert.equal(
        await callOne(caller, id, "plan", { content_hash: hashOfContent(body), overwrite: [] }),
        again,
      );
      for (const [other, code] of [
        [{ content_hash: hashOfContent(content()) }, "NOT_FOUND"],
        [{ content_hash: hashOfContent(body), content: body }, "INVALID"],
        [{}, "INVALID"],
      ] as const)
        assert.is(await codeOf(callOne(caller, id, "plan", { ...other, overwrite: [] })), code);
      const facts = await callOne(caller, id, "facts", {});
      assert.equal(facts.groups, ["core"]);
      const health = await callOne(caller, id, "health", {});
      assert.ok(health.memory.total_bytes > 0);
      const { envelope } = await callOne(caller, id, "manifest", {});
      const held = openManifest(
        loadEnvelope(envelope as StoredEnvelope),
        { fleet: fleet.name, id },
        verifierOf(fleet.bundle),
      );
      assert.is(held.manifest.generation, generation);
      const vera = await fleet.person("vera", "viewer");
      const refusal = await callOne({ ...caller, signer: vera }, id, "manifest", {}).then(
        () => "answered",
        String,
      );
      assert.match(refusal, /viewer/);
      assert.is((await callOne(caller, id, "status", {})).convergence.state, "converged");
    });

    test("puts a hand edit back within two seconds, and says so with the difference", async () => {
      const began = Date.now();
      await agent.write("/etc/motd", "by hand\n");
      await until("put back", async () => (await agent.read("/etc/motd")) === "one\n", 4_000);
      assertWithin(Date.now() - began, 2_000);
      await until("event", () =>
        events.some((event) => event.kind === "drift" && event.ref === "file//etc/motd"),
      );
      assert.match(events.find((event) => event.kind === "drift")?.diff ?? "", /-by hand/);
    });

    test("leaves a held resource alone until the hold ends", async () => {
      const held = await agent.command("hold", "file//etc/motd", "1h", "--why", "looking");
      assert.is(held.code, 0, held.stdout);
      await until("held", () => last?.held.length === 1);
      await agent.write("/etc/motd", "mine\n");
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      assert.is(await agent.read("/etc/motd"), "mine\n");
      await agent.command("unhold", "file//etc/motd");
      await until("put back", async () => (await agent.read("/etc/motd")) === "one\n");
      // Who did it on the host stands in the audit, and what he left for it is gone.
      const acts = async () =>
        ((await agent.read("/var/lib/muster-agent/audit.jsonl")) ?? "")
          .split("\n")
          .filter((line) => line.includes('"kind":"act"'))
          .map((line) => AuditRecord.parse(JSON.parse(line)));
      await until("the audit", async () => (await acts()).length === 2);
      assert.equal(
        (await acts()).map(({ what, from, result }) => [what, from.split(":")[0], result]),
        [
          ["hold", "this host", "done"],
          ["unhold", "this host", "done"],
        ],
      );
      assert.match((await acts())[0]?.target ?? "", /^file\/\/etc\/motd until .*: looking$/);
      assert.is(await agent.read("/var/lib/muster-agent/acts.jsonl"), null);
    });

    test("refuses what is forged, stale, altered, for another, or takes everything away; keeps the last good", async () => {
      const held = last?.generation ?? 0;
      const body = content(file("/etc/motd", "two\n"));
      await send(manifestOf(body), await fleet.controllers.person("mallory", "controller"));
      await refused("NOT_ALLOWED");
      await send(manifestOf(body, { generation: 0 + held }));
      await refused("CONFLICT");
      await send(manifestOf(body, { content_hash: "0".repeat(64) }));
      await refused("ALTERED");
      await send(manifestOf(body, { fleet: "other" }));
      await refused("WRONG_TARGET");
      await send(manifestOf(content()));
      await refused("MASS_REMOVAL");
      const manifest = manifestOf(body);
      await send({ ...manifest, intent: { ...manifest.intent, plan_index: "0".repeat(64) } });
      await refused("CONFLICT");
      await until("its event", () => events.some((event) => event.kind === "refusal"));
    });

    test(
      "after kill -9 it goes on by itself, and stands a broker that is away",
      async () => {
        await agent.stop("SIGKILL");
        await agent.write("/etc/motd", "while it was dead\n");
        await fleet.server.halt();
        agent.start();
        await until("put back without a broker", async () => (await agent.read("/etc/motd")) === "one\n");
        last = null;
        await fleet.server.start();
        await until("back", () => last !== null, 20_000);
        // Asked of the stream: the agent may be back, and have told, before this test's own subscription is.
        await until("event of the time without a broker", async () => (await keptDrifts()) >= 3, 20_000);
      },
      { limit_ms: 40_000 },
    );

    test("takes the next generation, and returns to the one before on a controller's word", async () => {
      const before = await callOne(caller, id, "status", {});
      const release = {
        id: randomHex(),
        return_to: before.convergence.content_hash,
        not_after: Date.now() + 60_000,
      };
      const manifest = await send(manifestOf(content(file("/etc/motd", "three\n")), { release }));
      await converged(manifest.generation);
      assert.is(await agent.read("/etc/lab/a"), null, "what Muster made and is no longer declared goes");
      const papers = await fleet.controllers.person("controller", "controller");
      const answer = await callOne({ ...caller, signer: papers }, id, "return", {
        release: release.id,
        content_hash: release.return_to ?? "",
      });
      assert.is(answer.generation, manifest.generation);
      await until("returned", () => last?.state === "returned");
      assert.is(await agent.read("/etc/motd"), "one\n");
      let code = "";
      try {
        await callOne({ ...caller, signer: papers }, id, "plan", { content: content(), overwrite: [] });
      } catch (error) {
        code = error instanceof FleetError ? error.code : "";
      }
      assert.is(code, "NOT_ALLOWED");
    });
  },
  { limit_ms: 30_000 },
);
